import type { VcpuContext } from "../../context/context.js";
import type { Halves } from "../../registers/halves.js";

/** Bytes of the largest area: that of XSAVE with PKRU. */
export const LARGEST_AREA = 584;

const copy = new Uint8Array(LARGEST_AREA);
const copyWords = new Int32Array(copy.buffer);

/**
 * The area of FXSAVE, XSAVE and their kin as doublewords: in the guest's memory where that is plain and mapped in one piece, else a copy of it.
 * Areas are aligned to 16 bytes at least. Nothing of one outlives its instruction.
 */
export class StateArea {
  #words: Int32Array = copyWords;
  #at = 0;

  /** Makes it the caller's own `bytes`, an array buffer's first. */
  over({ buffer }: Uint8Array<ArrayBuffer>): this {
    this.#words = new Int32Array(buffer);
    this.#at = 0;
    return this;
  }

  /** Makes it `size` bytes to be read. @returns false with an exception or exit pending */
  forRead(vcpu: VcpuContext, { lo, hi }: Readonly<Halves>, size: number): boolean {
    const host = vcpu.linear.hostForRead(lo, hi, size);
    if (host !== 0) return this.#inMemory(vcpu, host);
    this.#inCopy();
    return vcpu.linear.readBytes(lo, hi, copy.subarray(0, size));
  }

  /** Makes it `size` bytes to be written, all of them. `commit` follows. @returns false with an exception or exit pending */
  forWrite(vcpu: VcpuContext, { lo, hi }: Readonly<Halves>, size: number): boolean {
    if (!vcpu.linear.probeWriteRange(lo, hi, size)) return false;
    const host = vcpu.linear.hostForWrite(lo, hi, size);
    return host !== 0 ? this.#inMemory(vcpu, host) : this.#inCopy();
  }

  /** The same, for bytes of which some stay as they are. */
  forUpdate(vcpu: VcpuContext, { lo, hi }: Readonly<Halves>, size: number): boolean {
    const { linear } = vcpu;
    if (!linear.probeWriteRange(lo, hi, size)) return false;
    const host = linear.hostForWrite(lo, hi, size);
    if (host !== 0 && linear.hostForRead(lo, hi, size) === host) return this.#inMemory(vcpu, host);
    this.#inCopy();
    return linear.readBytes(lo, hi, copy.subarray(0, size));
  }

  /** Ends `forWrite` or `forUpdate` of the same bytes. @returns false with an exception or exit pending */
  commit(vcpu: VcpuContext, { lo, hi }: Readonly<Halves>, size: number): boolean {
    return this.#words !== copyWords || vcpu.linear.writeBytes(lo, hi, copy.subarray(0, size));
  }

  #inMemory({ memoryWords }: VcpuContext, host: number): true {
    this.#words = memoryWords;
    this.#at = host >>> 2;
    return true;
  }

  #inCopy(): true {
    this.#words = copyWords;
    this.#at = 0;
    return true;
  }

  /** Doubleword at byte `offset`, a multiple of four. */
  i32(offset: number): number {
    return this.#words[this.#at + (offset >> 2)] as number;
  }

  setI32(offset: number, value: number): void {
    this.#words[this.#at + (offset >> 2)] = value;
  }

  /** Whether bytes [`from`, `to`) are all zero. */
  zero(from: number, to: number): boolean {
    let at = from;
    while (at < to && this.i32(at) === 0) at += 4;
    return at >= to;
  }
}

/** The area of the instruction in progress. */
export const area = new StateArea();
