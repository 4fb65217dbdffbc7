import { canonical } from "./canonical.js";
import { ATTR_DB, Seg, Vector } from "./constants.js";
import { add64, type Halves } from "./operands.js";
import { type Bounds, boundsOf, type SegmentCache } from "./segments.js";
import type { Vcpu } from "./vcpu.js";

/** A stack of 16 or 32 bits that is filled before it becomes the current one: nothing but memory changes. */
export class StackFrame {
  readonly #vcpu: Vcpu;
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
  constructor(vcpu: Vcpu, segment: SegmentCache, sp: number, cpl: number, protectedMode = true) {
    this.#vcpu = vcpu;
    this.#base = segment.baseLo;
    this.#bounds = boundsOf(segment, protectedMode);
    this.#mask = segment.attributes & ATTR_DB ? -1 : 0xffff;
    this.#user = cpl === 3;
    this.sp = sp;
  }

  /** The stack that is in force. */
  static current(vcpu: Vcpu): StackFrame {
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

/**
 * Pushes 8-byte values, as halves, below `sp` as 64-bit code at `cpl` has its stack: flat. Moves `sp`.
 * @returns false with #SS(0) for addresses that are not canonical, or a page fault, pending
 */
export function pushLong(vcpu: Vcpu, sp: Halves, values: readonly (readonly [number, number])[], cpl: number): boolean {
  const end: Halves = { lo: 0, hi: 0 };
  add64(end, sp.lo, sp.hi, -8 * values.length, -1);
  const top: Halves = { lo: 0, hi: 0 };
  add64(top, sp.lo, sp.hi, -1, -1);
  if (!canonical(vcpu, end.hi) || !canonical(vcpu, top.hi)) return vcpu.raiseError(Vector.SS, 0);
  for (const [lo, hi] of values) {
    add64(sp, sp.lo, sp.hi, -8, -1);
    if (!vcpu.linear.writeAt(sp.lo, sp.hi, 8, lo, hi, cpl === 3)) return false;
  }
  return true;
}
