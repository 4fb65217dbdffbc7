import { JmpOp } from "../isa/opcodes.js";
import type { Int64 } from "./int64.js";
import * as i64 from "./int64.js";
import { constant, Draft, isConst, S32_MAX, S32_MIN, type Scalar, sameScalar, U32_MAX } from "./scalar.js";
import {
  isConstTnum,
  type Tnum,
  tnumAnd,
  tnumConst,
  tnumIntersect,
  tnumOr,
  tnumOverlap,
  tnumSubreg,
  tnumTop,
  tnumWithSubreg,
} from "./tnum.js";

/** What conditional jumps say about scalars: whether the outcome is known, and what each outcome adds to both operands. */

/** A scalar as a comparison of one width sees it. */
interface View {
  readonly bits: Tnum;
  readonly umin: Int64;
  readonly umax: Int64;
  readonly smin: Int64;
  readonly smax: Int64;
}

const view = (s: Scalar, is32: boolean): View =>
  is32
    ? {
        bits: tnumSubreg(s.bits),
        umin: i64.fromLow(s.u32min),
        umax: i64.fromLow(s.u32max),
        smin: i64.fromLowS(s.s32min),
        smax: i64.fromLowS(s.s32max),
      }
    : s;

const disjoint = (a: Scalar, b: Scalar, is32: boolean): boolean => {
  const x = view(a, is32);
  const y = view(b, is32);
  if (!tnumOverlap(x.bits, y.bits)) return true;
  if (i64.ltU(y.umax, x.umin) || i64.ltU(x.umax, y.umin)) return true;
  if (i64.ltS(y.smax, x.smin) || i64.ltS(x.smax, y.smin)) return true;
  return !is32 && (a.u32min > b.u32max || a.u32max < b.u32min || a.s32min > b.s32max || a.s32max < b.s32min);
};

const both = (never: boolean, always: boolean): boolean | undefined => (always ? true : never ? false : undefined);

const flip = (taken: boolean | undefined): boolean | undefined => (taken === undefined ? undefined : !taken);

/** Whether `a op b` is known to jump (true), known not to (false), or open. `op` is a conditional JmpOp. */
export const branchTaken = (op: number, a: Scalar, b: Scalar, is32: boolean): boolean | undefined => {
  const x = view(a, is32);
  const y = view(b, is32);
  switch (op) {
    case JmpOp.Jeq:
      if (isConstTnum(x.bits) && isConstTnum(y.bits)) return i64.eq(x.bits.value, y.bits.value);
      return disjoint(a, b, is32) ? false : undefined;
    case JmpOp.Jne:
      return flip(branchTaken(JmpOp.Jeq, a, b, is32));
    case JmpOp.Jset:
      if (!isConstTnum(x.bits) && !isConstTnum(y.bits)) return undefined;
      if (!i64.isZero(i64.and(x.bits.value, y.bits.value))) return true;
      return i64.isZero(i64.and(tnumTop(x.bits), tnumTop(y.bits))) ? false : undefined;
    case JmpOp.Jgt:
      return both(i64.leU(x.umax, y.umin), i64.ltU(y.umax, x.umin));
    case JmpOp.Jge:
      return both(i64.ltU(x.umax, y.umin), i64.leU(y.umax, x.umin));
    case JmpOp.Jsgt:
      return both(i64.leS(x.smax, y.smin), i64.ltS(y.smax, x.smin));
    case JmpOp.Jsge:
      return both(i64.ltS(x.smax, y.smin), i64.leS(y.smax, x.smin));
    case JmpOp.Jlt:
      return branchTaken(JmpOp.Jgt, b, a, is32);
    case JmpOp.Jle:
      return branchTaken(JmpOp.Jge, b, a, is32);
    case JmpOp.Jslt:
      return branchTaken(JmpOp.Jsgt, b, a, is32);
    case JmpOp.Jsle:
      return branchTaken(JmpOp.Jsge, b, a, is32);
    default:
      return undefined;
  }
};

const equal = (a: Draft, b: Draft, is32: boolean): void => {
  const u32min = Math.max(a.u32min, b.u32min);
  const u32max = Math.min(a.u32max, b.u32max);
  const s32min = Math.max(a.s32min, b.s32min);
  const s32max = Math.min(a.s32max, b.s32max);
  for (const to of [a, b]) {
    to.u32min = u32min;
    to.u32max = u32max;
    to.s32min = s32min;
    to.s32max = s32max;
  }
  if (is32) {
    const low = tnumIntersect(tnumSubreg(a.bits), tnumSubreg(b.bits));
    a.bits = tnumWithSubreg(a.bits, low);
    b.bits = tnumWithSubreg(b.bits, low);
    return;
  }
  const bits = tnumIntersect(a.bits, b.bits);
  const umin = i64.maxU(a.umin, b.umin);
  const umax = i64.minU(a.umax, b.umax);
  const smin = i64.maxS(a.smin, b.smin);
  const smax = i64.minS(a.smax, b.smax);
  for (const to of [a, b]) {
    to.bits = bits;
    to.umin = umin;
    to.umax = umax;
    to.smin = smin;
    to.smax = smax;
  }
};

/** A constant at the edge of a range is cut off; of a range of one number nothing is left. */
const unequal = (a: Draft, b: Scalar, is32: boolean): void => {
  const { bits } = view(b, is32);
  if (!isConstTnum(bits)) return;
  const { value } = bits;
  if (is32) {
    if (a.u32min === value.lo >>> 0) a.u32min++;
    if (a.u32max === value.lo >>> 0) a.u32max--;
    if (a.s32min === value.lo) a.s32min++;
    if (a.s32max === value.lo) a.s32max--;
    return;
  }
  const above = i64.add(value, i64.ONE);
  const below = i64.sub(value, i64.ONE);
  if (i64.eq(a.umin, value)) a.umin = i64.maxU(value, above);
  if (i64.eq(a.umax, value)) a.umax = i64.minU(value, below);
  if (i64.eq(a.smin, value)) a.smin = i64.maxS(value, above);
  if (i64.eq(a.smax, value)) a.smax = i64.minS(value, below);
};

/** `a & b` is not zero: teaches something where `b` is a single bit. */
const someBits = (a: Draft, b: Scalar, is32: boolean): void => {
  const { bits } = view(b, is32);
  const isSingle = i64.isZero(i64.and(bits.value, i64.sub(bits.value, i64.ONE))) && !i64.isZero(bits.value);
  if (isConstTnum(bits) && isSingle) a.bits = tnumOr(a.bits, bits);
};

/** `a & b` is zero: every bit of a constant `b` is clear in `a`, of whose range nothing else is kept, as in linux. */
const noBits = (a: Draft, b: Scalar, is32: boolean): void => {
  const { bits } = view(b, is32);
  if (!isConstTnum(bits)) return;
  a.forget64();
  a.forget32();
  a.bits = tnumAnd(a.bits, tnumConst(i64.not(bits.value)));
};

/** `a < b`, or `a <= b` where `slack` is 0. A bound that would leave its width makes the outcome impossible, and stays as it is. */
const less = (a: Draft, b: Draft, slack: 0 | 1, is32: boolean): void => {
  if (is32) {
    const top = Math.min(a.u32max, b.u32max - slack);
    const bottom = Math.max(b.u32min, a.u32min + slack);
    if (top >= 0) a.u32max = top;
    if (bottom <= U32_MAX) b.u32min = bottom;
    return;
  }
  const by = slack === 0 ? i64.ZERO : i64.ONE;
  if (!i64.subOverflowsU(b.umax, by)) a.umax = i64.minU(a.umax, i64.sub(b.umax, by));
  if (!i64.addOverflowsU(a.umin, by)) b.umin = i64.maxU(b.umin, i64.add(a.umin, by));
};

const lessSigned = (a: Draft, b: Draft, slack: 0 | 1, is32: boolean): void => {
  if (is32) {
    const top = Math.min(a.s32max, b.s32max - slack);
    const bottom = Math.max(b.s32min, a.s32min + slack);
    if (top >= S32_MIN) a.s32max = top;
    if (bottom <= S32_MAX) b.s32min = bottom;
    return;
  }
  const by = slack === 0 ? i64.ZERO : i64.ONE;
  if (!i64.subOverflowsS(b.smax, by)) a.smax = i64.minS(a.smax, i64.sub(b.smax, by));
  if (!i64.addOverflowsS(a.smin, by)) b.smin = i64.maxS(b.smin, i64.add(a.smin, by));
};

/** What each comparison is called when it does not hold. */
const OPPOSITE: Readonly<Record<number, number>> = {
  [JmpOp.Jeq]: JmpOp.Jne,
  [JmpOp.Jne]: JmpOp.Jeq,
  [JmpOp.Jgt]: JmpOp.Jle,
  [JmpOp.Jge]: JmpOp.Jlt,
  [JmpOp.Jlt]: JmpOp.Jge,
  [JmpOp.Jle]: JmpOp.Jgt,
  [JmpOp.Jsgt]: JmpOp.Jsle,
  [JmpOp.Jsge]: JmpOp.Jslt,
  [JmpOp.Jslt]: JmpOp.Jsge,
  [JmpOp.Jsle]: JmpOp.Jsgt,
};

const holds = (op: number, a: Draft, b: Draft, is32: boolean): void => {
  switch (op) {
    case JmpOp.Jeq:
      equal(a, b, is32);
      return;
    case JmpOp.Jne:
      isConst(is32 ? view32(b) : b) ? unequal(a, b, is32) : unequal(b, a, is32);
      return;
    case JmpOp.Jset:
      isConst(is32 ? view32(b) : b) ? someBits(a, b, is32) : someBits(b, a, is32);
      return;
    case JmpOp.Jlt:
      less(a, b, 1, is32);
      return;
    case JmpOp.Jle:
      less(a, b, 0, is32);
      return;
    case JmpOp.Jgt:
      less(b, a, 1, is32);
      return;
    case JmpOp.Jge:
      less(b, a, 0, is32);
      return;
    case JmpOp.Jslt:
      lessSigned(a, b, 1, is32);
      return;
    case JmpOp.Jsle:
      lessSigned(a, b, 0, is32);
      return;
    case JmpOp.Jsgt:
      lessSigned(b, a, 1, is32);
      return;
    case JmpOp.Jsge:
      lessSigned(b, a, 0, is32);
      return;
  }
};

/** Stands in for a scalar whose lower half alone counts. */
const view32 = (s: Scalar): Scalar => (s.bits.mask.lo !== 0 ? s : constant(i64.low(s.bits.value)));

/**
 * What both operands are known to be after `a op b` came out as `taken`; nothing where it cannot come out so. A register that is compared
 * with itself (`isSame`) learns twice.
 */
export const refine = (
  op: number,
  taken: boolean,
  a: Scalar,
  b: Scalar,
  is32: boolean,
  isSame = false,
): { readonly a: Scalar; readonly b: Scalar } | undefined => {
  const x = Draft.of(a);
  const y = isSame ? x : Draft.of(b);
  if (taken) holds(op, x, y, is32);
  else if (op === JmpOp.Jset) {
    if (isConst(is32 ? view32(b) : b)) noBits(x, b, is32);
    else noBits(y, a, is32);
  } else holds(OPPOSITE[op] ?? op, x, y, is32);
  const first = x.settleOutcome();
  const second = y.settleOutcome();
  if (first === undefined || second === undefined) return undefined;
  // What taught nothing stays the same object, of which there is one then for many states.
  return { a: sameScalar(a, first) ? a : first, b: sameScalar(b, second) ? b : second };
};
