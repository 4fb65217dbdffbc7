import { JmpOp } from "../isa/opcodes.js";
import { constant, Draft, isConst, type Scalar } from "./scalar.js";
import {
  LOW32,
  type Tnum,
  tnumAnd,
  tnumConst,
  tnumIntersect,
  tnumOr,
  tnumOverlap,
  tnumSubreg,
  tnumWithSubreg,
  U64_MAX,
} from "./tnum.js";

/** What conditional jumps say about scalars: whether the outcome is known, and what each outcome adds to both operands. */

/** A scalar as a comparison of one width sees it. */
interface View {
  readonly bits: Tnum;
  readonly umin: bigint;
  readonly umax: bigint;
  readonly smin: bigint;
  readonly smax: bigint;
}

const view = (s: Scalar, is32: boolean): View =>
  is32
    ? {
        bits: tnumSubreg(s.bits),
        umin: BigInt(s.u32min),
        umax: BigInt(s.u32max),
        smin: BigInt(s.s32min),
        smax: BigInt(s.s32max),
      }
    : s;

const disjoint = (a: Scalar, b: Scalar, is32: boolean): boolean => {
  const x = view(a, is32);
  const y = view(b, is32);
  if (!tnumOverlap(x.bits, y.bits) || x.umin > y.umax || x.umax < y.umin || x.smin > y.smax || x.smax < y.smin)
    return true;
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
      if (x.bits.mask === 0n && y.bits.mask === 0n) return x.bits.value === y.bits.value;
      return disjoint(a, b, is32) ? false : undefined;
    case JmpOp.Jne:
      return flip(branchTaken(JmpOp.Jeq, a, b, is32));
    case JmpOp.Jset:
      if (x.bits.mask !== 0n && y.bits.mask !== 0n) return undefined;
      if ((x.bits.value & y.bits.value) !== 0n) return true;
      return ((x.bits.value | x.bits.mask) & (y.bits.value | y.bits.mask)) === 0n ? false : undefined;
    case JmpOp.Jgt:
      return both(x.umax <= y.umin, x.umin > y.umax);
    case JmpOp.Jge:
      return both(x.umax < y.umin, x.umin >= y.umax);
    case JmpOp.Jsgt:
      return both(x.smax <= y.smin, x.smin > y.smax);
    case JmpOp.Jsge:
      return both(x.smax < y.smin, x.smin >= y.smax);
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

const lower = (x: bigint, y: bigint): bigint => (x < y ? x : y);
const higher = (x: bigint, y: bigint): bigint => (x > y ? x : y);

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
  const umin = higher(a.umin, b.umin);
  const umax = lower(a.umax, b.umax);
  const smin = higher(a.smin, b.smin);
  const smax = lower(a.smax, b.smax);
  for (const to of [a, b]) {
    to.bits = bits;
    to.umin = umin;
    to.umax = umax;
    to.smin = smin;
    to.smax = smax;
  }
};

/** A constant at the edge of a range is cut off. */
const unequal = (a: Draft, b: Scalar, is32: boolean): void => {
  const { bits } = view(b, is32);
  if (bits.mask !== 0n) return;
  if (is32) {
    const value = Number(bits.value);
    if (a.u32min === value) a.u32min++;
    if (a.u32max === value) a.u32max--;
    if (a.s32min === (value | 0)) a.s32min++;
    if (a.s32max === (value | 0)) a.s32max--;
    return;
  }
  const signed = BigInt.asIntN(64, bits.value);
  if (a.umin === bits.value) a.umin++;
  if (a.umax === bits.value) a.umax--;
  if (a.smin === signed) a.smin++;
  if (a.smax === signed) a.smax--;
};

/** `a & b` is not zero: teaches something where `b` is a single bit. */
const someBits = (a: Draft, b: Scalar, is32: boolean): void => {
  const { bits } = view(b, is32);
  if (bits.mask !== 0n || bits.value === 0n || (bits.value & (bits.value - 1n)) !== 0n) return;
  a.bits = tnumOr(a.bits, tnumConst(bits.value));
};

/** `a & b` is zero: every bit of a constant `b` is clear in `a`, of whose range nothing else is kept, as in linux. */
const noBits = (a: Draft, b: Scalar, is32: boolean): void => {
  const { bits } = view(b, is32);
  if (bits.mask !== 0n) return;
  a.forget64();
  a.forget32();
  a.bits = tnumAnd(a.bits, tnumConst(U64_MAX & ~bits.value));
};

/** `a < b`, or `a <= b` where `slack` is 0. A bound that would leave its width makes the outcome impossible, and stays as it is. */
const less = (a: Draft, b: Draft, slack: 0 | 1, is32: boolean): void => {
  if (is32) {
    const top = Math.min(a.u32max, b.u32max - slack);
    const bottom = Math.max(b.u32min, a.u32min + slack);
    if (top >= 0) a.u32max = top;
    if (bottom <= 0xffff_ffff) b.u32min = bottom;
    return;
  }
  const top = lower(a.umax, b.umax - BigInt(slack));
  const bottom = higher(b.umin, a.umin + BigInt(slack));
  if (top >= 0n) a.umax = top;
  if (bottom <= U64_MAX) b.umin = bottom;
};

const lessSigned = (a: Draft, b: Draft, slack: 0 | 1, is32: boolean): void => {
  if (is32) {
    const top = Math.min(a.s32max, b.s32max - slack);
    const bottom = Math.max(b.s32min, a.s32min + slack);
    if (top >= -0x8000_0000) a.s32max = top;
    if (bottom <= 0x7fff_ffff) b.s32min = bottom;
    return;
  }
  const top = lower(a.smax, b.smax - BigInt(slack));
  const bottom = higher(b.smin, a.smin + BigInt(slack));
  if (top >= -(1n << 63n)) a.smax = top;
  if (bottom <= (1n << 63n) - 1n) b.smin = bottom;
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
const view32 = (s: Scalar): Scalar => (s.bits.mask & LOW32 ? s : constant(s.bits.value & LOW32));

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
  return first === undefined || second === undefined ? undefined : { a: first, b: second };
};
