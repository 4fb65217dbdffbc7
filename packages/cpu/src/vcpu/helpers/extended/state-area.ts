import type { VcpuContext } from "../../context/context.js";
import { add64, type Halves } from "../../registers/halves.js";

/** Bytes of the largest area: that of XSAVE with PKRU. */
export const LARGEST_AREA = 584;

const copy = new Uint8Array(LARGEST_AREA);
const copyWords = new Int32Array(copy.buffer);

const next: Halves = { lo: 0, hi: 0 };

/**
 * The area of FXSAVE, XSAVE and their kin as doublewords: in the guest's memory where that is plain and has TLB entries, in one piece or two, else
 * a copy of it. Areas are aligned to 16 bytes at least. Nothing of one outlives its instruction.
 */
export class StateArea {
  #words: Int32Array = copyWords;
  #bytes: Uint8Array = copy;
  /** The host address of its first byte; from byte `#split` on, of where that would be. */
  #at = 0;
  #split = LARGEST_AREA;
  #rest = 0;

  /** Makes it the caller's own `bytes`, an array buffer's first. */
  over(bytes: Uint8Array<ArrayBuffer>): this {
    this.#words = new Int32Array(bytes.buffer);
    this.#bytes = bytes;
    this.#whole(0);
    return this;
  }

  /** Makes it `size` bytes to be read. @returns false with an exception or exit pending */
  forRead(vcpu: VcpuContext, at: Readonly<Halves>, size: number): boolean {
    return this.#known(vcpu, at, size, true, false) || this.#read(vcpu, at, size);
  }

  /** Makes it `size` bytes to be written, all of them. `commit` follows. @returns false with an exception or exit pending */
  forWrite(vcpu: VcpuContext, at: Readonly<Halves>, size: number): boolean {
    if (!vcpu.linear.probeWriteRange(at.lo, at.hi, size)) return false;
    if (!this.#known(vcpu, at, size, false, true)) this.#inCopy();
    return true;
  }

  /** The same, for bytes of which some stay as they are. */
  forUpdate(vcpu: VcpuContext, at: Readonly<Halves>, size: number): boolean {
    if (!vcpu.linear.probeWriteRange(at.lo, at.hi, size)) return false;
    return this.#known(vcpu, at, size, true, true) || this.#read(vcpu, at, size);
  }

  /** Ends `forWrite` or `forUpdate` of the same bytes. @returns false with an exception or exit pending */
  commit(vcpu: VcpuContext, { lo, hi }: Readonly<Halves>, size: number): boolean {
    return this.#words !== copyWords || vcpu.linear.writeBytes(lo, hi, copy.subarray(0, size));
  }

  #read(vcpu: VcpuContext, { lo, hi }: Readonly<Halves>, size: number): boolean {
    this.#inCopy();
    return vcpu.linear.readBytes(lo, hi, copy.subarray(0, size));
  }

  /** Makes it the guest's memory, if TLB entries say that it may be touched. */
  #known(vcpu: VcpuContext, { lo, hi }: Readonly<Halves>, size: number, read: boolean, write: boolean): boolean {
    const first = Math.min(size, 4096 - (lo & 0xfff));
    const host = hostFor(vcpu, lo, hi, first, read, write);
    if (host === 0) return false;
    this.#whole(host);
    if (first < size) {
      add64(next, lo, hi, first, 0);
      const second = hostFor(vcpu, next.lo, next.hi, size - first, read, write);
      if (second === 0) return false;
      this.#split = first;
      this.#rest = second - first;
    }
    this.#words = vcpu.memoryWords;
    this.#bytes = vcpu.memory;
    return true;
  }

  #inCopy(): void {
    this.#words = copyWords;
    this.#bytes = copy;
    this.#whole(0);
  }

  #whole(at: number): void {
    this.#at = at;
    this.#split = LARGEST_AREA;
  }

  /** Host address of byte `offset`. */
  #host(offset: number): number {
    return offset < this.#split ? this.#at + offset : this.#rest + offset;
  }

  /** Doubleword at byte `offset`, a multiple of four. */
  i32(offset: number): number {
    return this.#words[this.#host(offset) >>> 2] as number;
  }

  setI32(offset: number, value: number): void {
    this.#words[this.#host(offset) >>> 2] = value;
  }

  /** Copies `size` bytes of the state block from `slot` on to byte `offset`. */
  store(vcpu: VcpuContext, offset: number, slot: number, size: number): void {
    const { memory } = vcpu;
    const first = this.#piece(offset, size);
    const from = vcpu.base + slot;
    const to = this.#host(offset);
    if (this.#bytes === memory) memory.copyWithin(to, from, from + first);
    else this.#bytes.set(memory.subarray(from, from + first), to);
    if (first < size) this.store(vcpu, offset + first, slot + first, size - first);
  }

  /** Copies the `size` bytes at `offset` to the state block. */
  load(vcpu: VcpuContext, offset: number, slot: number, size: number): void {
    const { memory } = vcpu;
    const first = this.#piece(offset, size);
    const from = this.#host(offset);
    const to = vcpu.base + slot;
    if (this.#bytes === memory) memory.copyWithin(to, from, from + first);
    else memory.set(this.#bytes.subarray(from, from + first), to);
    if (first < size) this.load(vcpu, offset + first, slot + first, size - first);
  }

  /** How many of `size` bytes at `offset` are in one piece. */
  #piece(offset: number, size: number): number {
    return offset < this.#split ? Math.min(size, this.#split - offset) : size;
  }

  /** Whether bytes [`from`, `to`) are all zero. */
  zero(from: number, to: number): boolean {
    let at = from;
    while (at < to && this.i32(at) === 0) at += 4;
    return at >= to;
  }
}

/** Host address of `size` bytes in one page that generated code may touch like this; 0 if it may not. */
function hostFor(vcpu: VcpuContext, lo: number, hi: number, size: number, read: boolean, write: boolean): number {
  const { linear } = vcpu;
  if (!write) return linear.hostForRead(lo, hi, size);
  const host = linear.hostForWrite(lo, hi, size);
  return !read || linear.hostForRead(lo, hi, size) === host ? host : 0;
}

/** The area of the instruction in progress. */
export const area = new StateArea();
