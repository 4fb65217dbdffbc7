import * as R from "../../record.js";
import type { Vcpu } from "../vcpu.js";

/** The operands of a record as an operation outside generated code sees them: two slots of the state block and an immediate. */
export class Operands {
  readonly dst: number;
  readonly src: number;
  readonly imm: number;

  constructor(
    readonly vcpu: Vcpu,
    record: number,
  ) {
    const { memory } = vcpu;
    const field = (at: number): number => (memory[record + at] as number) | ((memory[record + at + 1] as number) << 8);
    this.dst = field(R.R_DST);
    this.src = field(R.R_SRC);
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
  write(...values: readonly number[]): true {
    return this.writeFirst(values, values.length);
  }

  /** Writes the first `count` of `values`. */
  writeFirst(values: ArrayLike<number>, count: number): true {
    for (let k = 0; k < count; k++) this.vcpu.setI32(this.dst + 4 * k, values[k] as number);
    return true;
  }

  /** Copies of the 16 bytes of the operands. */
  aBytes(): Uint8Array {
    return this.vcpu.bytes(this.dst, 16).slice();
  }
  bBytes(): Uint8Array {
    return this.vcpu.bytes(this.src, 16).slice();
  }
  writeBytes(bytes: Uint8Array): true {
    this.vcpu.bytes(this.dst, bytes.length).set(bytes);
    return true;
  }
}

/** Computes the result and writes it; false with an exception pending and operand 0 unchanged. */
export type OutsideOperation = (o: Operands) => boolean;
