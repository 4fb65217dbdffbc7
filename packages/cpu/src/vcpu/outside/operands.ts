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
    const view = new DataView(vcpu.memory.buffer, record, R.RECORD);
    this.dst = view.getUint16(R.R_DST, true);
    this.src = view.getUint16(R.R_SRC, true);
    this.imm = view.getUint8(R.R_IMM);
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
    values.forEach((value, k) => {
      this.vcpu.setI32(this.dst + 4 * k, value);
    });
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
