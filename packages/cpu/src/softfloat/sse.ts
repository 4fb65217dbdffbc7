import { pack32, pack64High, pack64Low, unpack32, unpack64 } from "./encoding.js";
import { BINARY32, BINARY64, type Format, Kind, type Unpacked } from "./number.js";
import { SseEnvironment } from "./sse-environment.js";
import { Relation, type Round } from "./types.js";

/** Bit `relation + 1` of entry `predicate & 3` (EQ, LT, LE, UNORD) is set when it holds; predicates 4-7 are their negations. */
const PREDICATE_HOLDS = [0b0010, 0b0001, 0b0011, 0b1000] as const;

/**
 * Scalar SSE/SSE2 floating-point operations, bit-exact to the processor in results, flags and masked responses; SSE3 and packed
 * instructions are made of them, lane by lane.
 *
 * Operands and results are bit patterns: f32 and i32 as u32, f64 and i64 as u32 halves `(lo, hi)`. A method leaves its result in `lo` (and
 * `hi`, which is 0 for 32-bit results) and ORs exceptions into `flags`; it never throws and never allocates. Per instruction:
 * `setMxcsr(mxcsr)`, one call per lane saving `lo`/`hi`, then MXCSR |= `reported()`, and #XM instead of the write-back if `faulted()`.
 * `lo` and `hi` mean nothing after an unmasked exception. The first operand is the destination in the instruction's two-operand form.
 *
 * @example
 * const f = new SoftFloat();
 * f.setMxcsr(0x1f80);
 * f.add32(0x3f800000, 0x33800000); // 1 + 2^-24
 * f.lo; // 0x3f800000, and f.flags is Flag.P
 */
export class SoftFloat extends SseEnvironment {
  add32(a: number, b: number): void {
    this.#load32(a, b);
    this.sum(BINARY32, false);
    this.#store32();
  }

  sub32(a: number, b: number): void {
    this.#load32(a, b);
    this.sum(BINARY32, true);
    this.#store32();
  }

  mul32(a: number, b: number): void {
    this.#load32(a, b);
    this.product(BINARY32);
    this.#store32();
  }

  /** a / b. */
  div32(a: number, b: number): void {
    this.#load32(a, b);
    this.quotient(BINARY32);
    this.#store32();
  }

  sqrt32(a: number): void {
    unpack32(a, this.a, this.daz);
    this.root(BINARY32);
    this.#store32();
  }

  /** MINSS: b unless a < b (so b when either is a NaN, unquieted, or both are zeros). */
  min32(a: number, b: number): void {
    this.#select32(a, b, Relation.Less);
  }

  /** MAXSS: b unless a > b. */
  max32(a: number, b: number): void {
    this.#select32(a, b, Relation.Greater);
  }

  add64(alo: number, ahi: number, blo: number, bhi: number): void {
    this.#load64(alo, ahi, blo, bhi);
    this.sum(BINARY64, false);
    this.#store64();
  }

  sub64(alo: number, ahi: number, blo: number, bhi: number): void {
    this.#load64(alo, ahi, blo, bhi);
    this.sum(BINARY64, true);
    this.#store64();
  }

  mul64(alo: number, ahi: number, blo: number, bhi: number): void {
    this.#load64(alo, ahi, blo, bhi);
    this.product(BINARY64);
    this.#store64();
  }

  /** a / b. */
  div64(alo: number, ahi: number, blo: number, bhi: number): void {
    this.#load64(alo, ahi, blo, bhi);
    this.quotient(BINARY64);
    this.#store64();
  }

  sqrt64(alo: number, ahi: number): void {
    unpack64(alo, ahi, this.a, this.daz);
    this.root(BINARY64);
    this.#store64();
  }

  /** MINSD: b unless a < b. */
  min64(alo: number, ahi: number, blo: number, bhi: number): void {
    this.#select64(alo, ahi, blo, bhi, Relation.Less);
  }

  /** MAXSD: b unless a > b. */
  max64(alo: number, ahi: number, blo: number, bhi: number): void {
    this.#select64(alo, ahi, blo, bhi, Relation.Greater);
  }

  /** The relation of a to b: UCOMISS, or COMISS when `signaling` (quiet NaNs raise #I too). */
  compare32(a: number, b: number, signaling: boolean): Relation {
    this.#load32(a, b);
    return this.relation(signaling);
  }

  /** The relation of a to b: UCOMISD, or COMISD when `signaling`. */
  compare64(alo: number, ahi: number, blo: number, bhi: number, signaling: boolean): Relation {
    this.#load64(alo, ahi, blo, bhi);
    return this.relation(signaling);
  }

  /** CMPSS: all ones or zero in `lo`. `predicate` 0-7: EQ LT LE UNORD NEQ NLT NLE ORD; higher bits are ignored. SDM Vol. 2, CMPPS. */
  cmpPredicate32(a: number, b: number, predicate: number): void {
    this.#load32(a, b);
    this.lo = this.#predicateMask(predicate);
    this.hi = 0;
  }

  /** CMPSD: all ones or zero in `lo` and `hi`, as {@link cmpPredicate32}. */
  cmpPredicate64(alo: number, ahi: number, blo: number, bhi: number, predicate: number): void {
    this.#load64(alo, ahi, blo, bhi);
    this.lo = this.#predicateMask(predicate);
    this.hi = this.lo;
  }

  f32ToF64(a: number): void {
    unpack32(a, this.a, this.daz);
    this.convert(BINARY64);
    this.#store64();
  }

  f64ToF32(alo: number, ahi: number): void {
    unpack64(alo, ahi, this.a, this.daz);
    this.convert(BINARY32);
    this.#store32();
  }

  i32ToF32(a: number): void {
    this.r.setInteger(a, a >> 31);
    this.finish(BINARY32);
    this.#store32();
  }

  i32ToF64(a: number): void {
    this.r.setInteger(a, a >> 31);
    this.finish(BINARY64);
    this.#store64();
  }

  i64ToF32(lo: number, hi: number): void {
    this.r.setInteger(lo, hi);
    this.finish(BINARY32);
    this.#store32();
  }

  i64ToF64(lo: number, hi: number): void {
    this.r.setInteger(lo, hi);
    this.finish(BINARY64);
    this.#store64();
  }

  /** CVTSS2SI r32, or CVTTSS2SI with `rc` = Round.Zero. Out of range or NaN: 0x80000000 and #I. */
  f32ToI32(a: number, rc: Round = this.rc): void {
    unpack32(a, this.a, this.daz);
    this.toInteger(rc, 32);
  }

  /** CVTSD2SI r32, or CVTTSD2SI with `rc` = Round.Zero. */
  f64ToI32(alo: number, ahi: number, rc: Round = this.rc): void {
    unpack64(alo, ahi, this.a, this.daz);
    this.toInteger(rc, 32);
  }

  /** CVTSS2SI r64, or CVTTSS2SI with `rc` = Round.Zero. Out of range or NaN: 2^63 and #I. */
  f32ToI64(a: number, rc: Round = this.rc): void {
    unpack32(a, this.a, this.daz);
    this.toInteger(rc, 64);
  }

  /** CVTSD2SI r64, or CVTTSD2SI with `rc` = Round.Zero. */
  f64ToI64(alo: number, ahi: number, rc: Round = this.rc): void {
    unpack64(alo, ahi, this.a, this.daz);
    this.toInteger(rc, 64);
  }

  /** ROUNDSS: to an integral value. `imm` bits 1:0 are the rounding mode, bit 2 takes MXCSR's instead, bit 3 suppresses #P. */
  round32(a: number, imm: number): void {
    unpack32(a, this.a, this.daz);
    this.#integral(imm, BINARY32);
    this.#store32();
  }

  /** ROUNDSD, as {@link round32}. */
  round64(alo: number, ahi: number, imm: number): void {
    unpack64(alo, ahi, this.a, this.daz);
    this.#integral(imm, BINARY64);
    this.#store64();
  }

  #load32(a: number, b: number): void {
    unpack32(a, this.a, this.daz);
    unpack32(b, this.b, this.daz);
  }

  #load64(alo: number, ahi: number, blo: number, bhi: number): void {
    unpack64(alo, ahi, this.a, this.daz);
    unpack64(blo, bhi, this.b, this.daz);
  }

  #store32(): void {
    this.lo = pack32(this.r);
    this.hi = 0;
  }

  #store64(): void {
    this.lo = pack64Low(this.r);
    this.hi = pack64High(this.r);
  }

  #select32(a: number, b: number, wanted: Relation): void {
    this.#load32(a, b);
    const first = this.relation(true) === wanted;
    const chosen: Unpacked = first ? this.a : this.b;
    this.lo = (chosen.kind === Kind.Zero ? pack32(chosen) : first ? a : b) >>> 0;
    this.hi = 0;
  }

  #select64(alo: number, ahi: number, blo: number, bhi: number, wanted: Relation): void {
    this.#load64(alo, ahi, blo, bhi);
    const first = this.relation(true) === wanted;
    const chosen: Unpacked = first ? this.a : this.b;
    // A denormal under DAZ is a zero here, so its encoding is not the operand's.
    this.lo = (chosen.kind === Kind.Zero ? 0 : first ? alo : blo) >>> 0;
    this.hi = (chosen.kind === Kind.Zero ? pack64High(chosen) : first ? ahi : bhi) >>> 0;
  }

  #predicateMask(predicate: number): number {
    const signaling = (predicate & 3) === 1 || (predicate & 3) === 2;
    const holds = ((PREDICATE_HOLDS[(predicate & 3) as 0 | 1 | 2 | 3] >>> (this.relation(signaling) + 1)) & 1) !== 0;
    return holds !== ((predicate & 4) !== 0) ? 0xffffffff : 0;
  }

  #integral(imm: number, format: Format): void {
    if (this.propagateUnaryNaN()) return;
    const before = this.flags;
    this.roundToIntegral((imm & 4) !== 0 ? this.rc : ((imm & 3) as Round), format.precision);
    if ((imm & 8) !== 0) this.flags = before;
  }
}
