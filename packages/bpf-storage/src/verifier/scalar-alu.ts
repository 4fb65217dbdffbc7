import { AluOp } from "../isa/opcodes.js";
import {
  constant,
  Draft,
  isConst,
  S32_MAX,
  S32_MIN,
  S64_MAX,
  S64_MIN,
  type Scalar,
  U32_MAX,
  UNKNOWN,
} from "./scalar.js";
import {
  LOW32,
  tnumAdd,
  tnumAnd,
  tnumArsh,
  tnumConst,
  tnumLsh,
  tnumMul,
  tnumOr,
  tnumRange,
  tnumRsh,
  tnumSub,
  tnumSubreg,
  tnumXor,
  U64_MAX,
} from "./tnum.js";

/**
 * What arithmetic makes of scalars. Each operation works out bounds of both widths and bits; the parts are reconciled at the end.
 * Where a bound could overflow it is forgotten, as in linux kernel/bpf/verifier.c, so that the same programs pass.
 */

const fits64 = (least: bigint, greatest: bigint): boolean => least >= S64_MIN && greatest <= S64_MAX;
const fits32 = (least: number, greatest: number): boolean => least >= S32_MIN && greatest <= S32_MAX;

const set64 = (to: Draft, umin: bigint, umax: bigint): void => {
  if (umin < 0n || umax > U64_MAX) {
    to.umin = 0n;
    to.umax = U64_MAX;
  } else {
    to.umin = umin;
    to.umax = umax;
  }
};
const set64s = (to: Draft, smin: bigint, smax: bigint): void => {
  const fit = fits64(smin, smax);
  to.smin = fit ? smin : S64_MIN;
  to.smax = fit ? smax : S64_MAX;
};
const set32 = (to: Draft, umin: number, umax: number): void => {
  const fit = umin >= 0 && umax <= U32_MAX;
  to.u32min = fit ? umin : 0;
  to.u32max = fit ? umax : U32_MAX;
};
const set32s = (to: Draft, smin: number, smax: number): void => {
  const fit = fits32(smin, smax);
  to.s32min = fit ? smin : S32_MIN;
  to.s32max = fit ? smax : S32_MAX;
};

const add = (to: Draft, a: Scalar, b: Scalar): void => {
  set32s(to, a.s32min + b.s32min, a.s32max + b.s32max);
  set32(to, a.u32min + b.u32min, a.u32max + b.u32max);
  set64s(to, a.smin + b.smin, a.smax + b.smax);
  set64(to, a.umin + b.umin, a.umax + b.umax);
  to.bits = tnumAdd(a.bits, b.bits);
};

const sub = (to: Draft, a: Scalar, b: Scalar): void => {
  set32s(to, a.s32min - b.s32max, a.s32max - b.s32min);
  set32(to, a.u32min - b.u32max, a.u32max - b.u32min);
  set64s(to, a.smin - b.smax, a.smax - b.smin);
  set64(to, a.umin - b.umax, a.umax - b.umin);
  to.bits = tnumSub(a.bits, b.bits);
};

const mul = (to: Draft, a: Scalar, b: Scalar): void => {
  to.bits = tnumMul(a.bits, b.bits);
  to.forget32();
  if (a.s32min >= 0 && b.s32min >= 0 && a.u32max <= 0xffff && b.u32max <= 0xffff) {
    set32(to, a.u32min * b.u32min, a.u32max * b.u32max);
    if (to.u32max <= S32_MAX) set32s(to, to.u32min, to.u32max);
  }
  to.forget64();
  if (a.smin >= 0n && b.smin >= 0n && a.umax <= LOW32 && b.umax <= LOW32) {
    set64(to, a.umin * b.umin, a.umax * b.umax);
    if (to.umax <= S64_MAX) set64s(to, to.umin, to.umax);
  }
};

/** Bounds of a bitwise result follow from its bits and from the operands; signed ones only where the result cannot be negative. */
const bitwise = (to: Draft, umin: bigint, umax: bigint, u32min: number, u32max: number): void => {
  to.umin = umin;
  to.umax = umax;
  to.u32min = u32min;
  to.u32max = u32max;
  to.smin = S64_MIN;
  to.smax = S64_MAX;
  to.s32min = S32_MIN;
  to.s32max = S32_MAX;
};

const and = (to: Draft, a: Scalar, b: Scalar): void => {
  const bits = tnumAnd(a.bits, b.bits);
  to.bits = bits;
  bitwise(to, bits.value, a.umax < b.umax ? a.umax : b.umax, Number(bits.value & LOW32), Math.min(a.u32max, b.u32max));
};

const or = (to: Draft, a: Scalar, b: Scalar): void => {
  const bits = tnumOr(a.bits, b.bits);
  to.bits = bits;
  const top = bits.value | bits.mask;
  bitwise(to, a.umin > b.umin ? a.umin : b.umin, top, Math.max(a.u32min, b.u32min), Number(top & LOW32));
};

const xor = (to: Draft, a: Scalar, b: Scalar): void => {
  const bits = tnumXor(a.bits, b.bits);
  to.bits = bits;
  const top = bits.value | bits.mask;
  bitwise(to, bits.value, top, Number(bits.value & LOW32), Number(top & LOW32));
};

/** Shifts of the lower half, by any number. */
const lsh32 = (to: Draft, a: Scalar, by: number): void => {
  to.forget32();
  if (by <= 31 && a.u32max <= 2 ** (31 - by)) set32(to, a.u32min * 2 ** by, a.u32max * 2 ** by);
};

const lsh = (to: Draft, a: Scalar, by: number): void => {
  lsh32(to, a, by);
  to.forget64();
  // A shift by 32 of a 32-bit signed number is half of a sign extension: the ends keep their order.
  if (by === 32) {
    to.smax = BigInt(a.s32max) << 32n;
    to.smin = BigInt(a.s32min) << 32n;
  }
  if (a.umax <= 1n << BigInt(63 - by)) {
    to.umin = a.umin << BigInt(by);
    to.umax = a.umax << BigInt(by);
  }
  to.bits = tnumLsh(a.bits, BigInt(by));
};

const rsh = (to: Draft, a: Scalar, by: number): void => {
  to.forget32();
  to.forget64();
  to.umin = a.umin >> BigInt(by);
  to.umax = a.umax >> BigInt(by);
  to.bits = tnumRsh(a.bits, BigInt(by));
};

const arsh = (to: Draft, a: Scalar, by: number): void => {
  to.forget32();
  to.forget64();
  to.smin = a.smin >> BigInt(by);
  to.smax = a.smax >> BigInt(by);
  to.bits = tnumArsh(a.bits, BigInt(by), 64);
};

/** The lower half of `a` as a scalar of its own, the upper half zero. */
const low = (a: Scalar): Scalar => {
  const to = Draft.of(a);
  to.zeroExtend();
  return to.settle();
};

/** Right shifts of 32-bit words are shifts of their extension, cut off again. */
const shift32 = (op: number, a: Scalar, by: number): Scalar => {
  const to = new Draft();
  const bits = tnumSubreg(a.bits);
  if (op === AluOp.Lsh) {
    lsh32(to, a, by);
    to.bits = tnumSubreg(tnumLsh(bits, BigInt(by)));
  } else if (op === AluOp.Rsh) {
    to.u32min = a.u32min >>> by;
    to.u32max = a.u32max >>> by;
    to.bits = tnumRsh(bits, BigInt(by));
  } else {
    to.s32min = a.s32min >> by;
    to.s32max = a.s32max >> by;
    to.bits = tnumArsh(bits, BigInt(by), 32);
  }
  to.zeroExtend();
  return to.settle();
};

/** The amount of shift that `b` is, or nothing where it is not known or not below the width. */
const shiftBy = (b: Scalar, bits: 32 | 64): number | undefined => {
  if (b.umax >= BigInt(bits)) return undefined;
  return isConst(bits === 64 ? b : low(b)) ? Number(b.umax) : undefined;
};

const rules: Readonly<Record<number, (to: Draft, a: Scalar, b: Scalar) => void>> = {
  [AluOp.Add]: add,
  [AluOp.Sub]: sub,
  [AluOp.Mul]: mul,
  [AluOp.And]: and,
  [AluOp.Or]: or,
  [AluOp.Xor]: xor,
};
const shifts: Readonly<Record<number, (to: Draft, a: Scalar, by: number) => void>> = {
  [AluOp.Lsh]: lsh,
  [AluOp.Rsh]: rsh,
  [AluOp.Arsh]: arsh,
};

/** One concrete operation on constants; nothing where the verifier makes no use of the result (division, modulo, shifts). */
const fold = (op: number, a: bigint, b: bigint): bigint | undefined => {
  switch (op) {
    case AluOp.Add:
      return a + b;
    case AluOp.Sub:
      return a - b;
    case AluOp.Mul:
      return a * b;
    case AluOp.And:
      return a & b;
    case AluOp.Or:
      return a | b;
    case AluOp.Xor:
      return a ^ b;
    default:
      return undefined;
  }
};

/**
 * The result of `a op b` on 64 or on 32 bits (the latter with an upper half of zeros); `op` is one of AluOp other than MOV, NEG, END.
 * Division and modulo give an unknown number, as do shifts by an amount that is not known or not below the width: as in linux, of all
 * 64 bits, whatever the width.
 */
export const alu = (op: number, a: Scalar, b: Scalar, bits: 32 | 64): Scalar => {
  if (isConst(a) && isConst(b)) {
    const cut = (x: bigint): bigint => (bits === 32 ? x & LOW32 : x);
    const result = fold(op, cut(a.bits.value), cut(b.bits.value));
    if (result !== undefined) return constant(cut(BigInt.asUintN(64, result)));
  }
  const shift = shifts[op];
  if (shift !== undefined) {
    const by = shiftBy(b, bits);
    if (by === undefined) return UNKNOWN;
    if (bits === 32) return shift32(op, a, by);
    const to = new Draft();
    shift(to, a, by);
    return to.settle();
  }
  const rule = rules[op];
  if (rule === undefined) return UNKNOWN;
  const to = new Draft();
  rule(to, a, b);
  if (bits === 32) to.zeroExtend();
  return to.settle();
};

/** The lower 32 bits with zeros above: what a 32-bit move makes. */
export const zeroExtend32 = (a: Scalar): Scalar => (a.umax <= LOW32 ? a : low(a));

/** The lower `bytes` (1, 2, 4) with zeros above: what a narrow load makes. */
export const zeroExtend = (a: Scalar, bytes: number): Scalar => {
  if (bytes === 8) return a;
  const mask = (1n << BigInt(bytes * 8)) - 1n;
  if (a.umax <= mask) return a;
  const to = new Draft();
  to.bits = tnumAnd(a.bits, tnumConst(mask));
  const above = ~mask & U64_MAX;
  if ((a.umin & above) === (a.umax & above)) {
    to.umin = a.umin & mask;
    to.umax = a.umax & mask;
  } else {
    to.umin = 0n;
    to.umax = mask;
  }
  if (bytes === 4) {
    to.u32min = a.u32min;
    to.u32max = a.u32max;
    to.s32min = a.s32min;
    to.s32max = a.s32max;
  }
  return to.settle();
};

/**
 * The lower `bits` (8, 16, 32) with copies of their sign above, cut to 32 bits of result where `width` is 32. The bits are known as far as
 * the range tells, as in linux (`coerce_reg_to_size_sx`, `coerce_subreg_to_size_sx`).
 */
export const signExtend = (a: Scalar, bits: 8 | 16 | 32, width: 32 | 64): Scalar => {
  const extend = (x: bigint): bigint => BigInt.asIntN(bits, x);
  if (isConst(a)) return constant(width === 64 ? extend(a.bits.value) : BigInt.asUintN(32, extend(a.bits.value)));
  const from = width === 64 ? [a.smin, a.smax] : [BigInt(a.s32min), BigInt(a.s32max)];
  const [least = 0n, greatest = 0n] = from;
  const to = new Draft();
  const first = extend(least);
  const last = extend(greatest);
  // Where the bits above are the same for all members and no sign lies between, the order of the ends stays.
  const keepsOrder = least >> BigInt(bits) === greatest >> BigInt(bits) && first < 0n === last < 0n;
  const top = 1n << BigInt(bits - 1);
  const smin = keepsOrder ? first : -top;
  const smax = keepsOrder ? last : top - 1n;
  to.s32min = Number(smin);
  to.s32max = Number(smax);
  if (keepsOrder) {
    to.u32min = to.s32min >>> 0;
    to.u32max = to.s32max >>> 0;
    to.umin = BigInt.asUintN(64, smin);
    to.umax = BigInt.asUintN(64, smax);
    to.bits = tnumRange(to.umin, to.umax);
  }
  if (width === 64) {
    to.smin = smin;
    to.smax = smax;
    return to;
  }
  to.zeroExtend();
  return to.settle();
};
