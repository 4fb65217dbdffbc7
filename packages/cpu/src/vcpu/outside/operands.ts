import * as R from "../../record.js";
import type { VcpuContext } from "../context/context.js";

/**
 * The operands of a record as an operation outside generated code sees them: two slots of the state block and an immediate. One object a
 * vCPU, aimed at one record after the other: such operations are frequent enough that an object each would be felt.
 */
export class Operands {
  dst = 0;
  src = 0;
  imm = 0;

  constructor(readonly vcpu: VcpuContext) {}

  aim(record: number): void {
    const { memory } = this.vcpu;
    this.dst = (memory[record + R.R_DST] as number) | ((memory[record + R.R_DST + 1] as number) << 8);
    this.src = (memory[record + R.R_SRC] as number) | ((memory[record + R.R_SRC + 1] as number) << 8);
    this.imm = memory[record + R.R_IMM] as number;
  }

  /** Doubleword `k` of operand 0 or 1, unsigned. */
  a(k: number): number {
    return this.vcpu.i32(this.dst + 4 * k) >>> 0;
  }
  b(k: number): number {
    return this.vcpu.i32(this.src + 4 * k) >>> 0;
  }

  /** Writes doublewords of operand 0 from the lowest on. */
  write(first: number, second?: number, third?: number, fourth?: number): true {
    const { vcpu, dst } = this;
    vcpu.setI32(dst, first);
    if (second !== undefined) vcpu.setI32(dst + 4, second);
    if (third !== undefined) vcpu.setI32(dst + 8, third);
    if (fourth !== undefined) vcpu.setI32(dst + 12, fourth);
    return true;
  }

  /** Writes the first `count` of `values`. */
  writeFirst(values: ArrayLike<number>, count: number): true {
    for (let k = 0; k < count; k++) this.vcpu.setI32(this.dst + 4 * k, values[k] as number);
    return true;
  }

  /** Byte `k` of operand 0 or 1. */
  aByte(k: number): number {
    return this.vcpu.u8(this.dst + k);
  }
  bByte(k: number): number {
    return this.vcpu.u8(this.src + k);
  }
}

/** Computes the result and writes it; false with an exception pending and operand 0 unchanged. */
export type OutsideOperation = (o: Operands) => boolean;
