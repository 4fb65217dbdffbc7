import type { VcpuContext } from "../context/context.js";
import { canonical } from "../registers/canonical.js";
import { ATTR_DB, Seg, Vector } from "../registers/constants.js";
import { add64, type Halves } from "../registers/halves.js";
import { type Bounds, boundsOf, type SegmentCache } from "../registers/segment-cache.js";

/** A stack of 16 or 32 bits that is filled before it becomes the current one: nothing but memory changes. */
export class StackFrame {
  readonly #vcpu: VcpuContext;
  readonly #base: number;
  readonly #bounds: Bounds;
  readonly #mask: number;
  readonly #user: boolean;
  /** ESP, of which code with a 16-bit stack uses the lower half. */
  sp: number;

  /**
   * @param cpl level at which the stack is written
   * @param protectedMode whether the type of `segment` counts
   */
  constructor(vcpu: VcpuContext, segment: SegmentCache, sp: number, cpl: number, protectedMode = true) {
    this.#vcpu = vcpu;
    this.#base = segment.baseLo;
    this.#bounds = boundsOf(segment, protectedMode);
    this.#mask = segment.attributes & ATTR_DB ? -1 : 0xffff;
    this.#user = cpl === 3;
    this.sp = sp;
  }

  /** The stack that is in force. */
  static current(vcpu: VcpuContext): StackFrame {
    const ss = vcpu.segments[Seg.SS] as SegmentCache;
    return new StackFrame(vcpu, ss, vcpu.regLo(4), vcpu.cpl, vcpu.protectedMode);
  }

  #below(sp: number, size: number): number {
    return (sp & ~this.#mask) | ((sp - size) & this.#mask);
  }

  /** #SS(error) unless `count` values of `size` bytes fit. */
  checkRoom(count: number, size: number, error: number): boolean {
    const { low, high, writable } = this.#bounds;
    let { sp } = this;
    for (let k = 0; k < count; k++) {
      sp = this.#below(sp, size);
      const first = (sp & this.#mask) >>> 0;
      const flat = high === 0xffffffff && this.#base === 0;
      const inside = first >= low && (first + size - 1 <= high || flat);
      if (!writable || !inside) return this.#vcpu.raiseError(Vector.SS, error);
    }
    return true;
  }

  /** Pushes `values`, of `size` bytes each, the first one highest. False with a page fault pending. */
  push(size: number, values: readonly number[]): boolean {
    for (const value of values) {
      this.sp = this.#below(this.sp, size);
      const at = (this.#base + (this.sp & this.#mask)) | 0;
      if (!this.#vcpu.linear.writeAt(at, 0, size, value, 0, this.#user)) return false;
    }
    return true;
  }
}

/** 8-byte values for a stack of 64-bit code, the first one highest. One object serves every event: nothing is allocated on the way. */
export class LongFrame {
  /** Low and high halves by turns. */
  readonly words = new Int32Array(2 * 6);
  length = 0;
  readonly #end: Halves = { lo: 0, hi: 0 };
  readonly #top: Halves = { lo: 0, hi: 0 };

  clear(): this {
    this.length = 0;
    return this;
  }

  add(lo: number, hi: number): this {
    this.words[2 * this.length] = lo;
    this.words[2 * this.length + 1] = hi;
    this.length++;
    return this;
  }

  /**
   * Pushes them below `sp`, which it moves, as 64-bit code at `cpl` has its stack: flat.
   * @returns false with #SS(0) for addresses that are not canonical, or a page fault, pending
   */
  push(vcpu: VcpuContext, sp: Halves, cpl: number): boolean {
    add64(this.#end, sp.lo, sp.hi, -8 * this.length, -1);
    add64(this.#top, sp.lo, sp.hi, -1, -1);
    if (!canonical(vcpu, this.#end.hi) || !canonical(vcpu, this.#top.hi)) return vcpu.raiseError(Vector.SS, 0);
    const user = cpl === 3;
    if (vcpu.linear.pushKnown(this.#end.lo, this.#end.hi, this, user)) {
      sp.lo = this.#end.lo;
      sp.hi = this.#end.hi;
      return true;
    }
    for (let k = 0; k < this.length; k++) {
      add64(sp, sp.lo, sp.hi, -8, -1);
      const [lo, hi] = [this.words[2 * k] as number, this.words[2 * k + 1] as number];
      if (!vcpu.linear.writeAt(sp.lo, sp.hi, 8, lo, hi, user)) return false;
    }
    return true;
  }
}
