/**
 * Expression constructors, named as the instructions of the core specification (`i32.add`, `i64.extend_i32_u`, `i8x16.shuffle`, ...).
 * The type parameter of `Expr` makes a wrongly typed tree a compile error; nothing is checked at run time.
 */
import { add64, and64, constant64, narrowed, not, or64, shl64, shrS64, shrU64, sub64, xor64 } from "./fold.js";
import { Node, NodeKind } from "./node.js";
import type { Expr, ValType } from "./types.js";

type I32 = Expr<"i32">;
type I64 = Expr<"i64">;
type F32 = Expr<"f32">;
type F64 = Expr<"f64">;
type V128 = Expr<"v128">;

const n = (expr: Expr<ValType>): Node => expr as Node;

const un =
  <A extends ValType, R extends ValType>(op: number) =>
  (a: Expr<A>): Expr<R> =>
    new Node(NodeKind.Op, op, n(a));
const bin =
  <A extends ValType, R extends ValType = A>(op: number) =>
  (a: Expr<A>, b: Expr<A>): Expr<R> =>
    new Node(NodeKind.Op, op, n(a), n(b));
const load =
  <R extends ValType>(op: number, align: number) =>
  (address: I32, offset = 0): Expr<R> =>
    new Node(NodeKind.Load, op, n(address), null, null, align, offset);
const folded =
  (fold: (a: Node, b: Node) => Node) =>
  (a: I64, b: I64): I64 =>
    fold(n(a), n(b));
const narrow =
  (width: number, make: (address: I32, offset?: number) => I64) =>
  (address: I32, offset = 0): I64 =>
    narrowed(n(make(address, offset)), width);
const sat =
  <A extends ValType, R extends ValType>(op: number) =>
  (a: Expr<A>): Expr<R> =>
    new Node(NodeKind.Misc, op, n(a));
const vun =
  <A extends ValType = "v128", R extends ValType = "v128">(op: number) =>
  (a: Expr<A>): Expr<R> =>
    new Node(NodeKind.Simd, op, n(a));
const vbin =
  (op: number) =>
  (a: V128, b: V128): V128 =>
    new Node(NodeKind.Simd, op, n(a), n(b));
const vshift =
  (op: number) =>
  (a: V128, count: I32): V128 =>
    new Node(NodeKind.Simd, op, n(a), n(count));
const extract =
  <R extends ValType>(op: number) =>
  (a: V128, lane: number): Expr<R> =>
    new Node(NodeKind.SimdLane, op, n(a), null, null, lane);
const replace =
  <A extends ValType>(op: number) =>
  (a: V128, lane: number, value: Expr<A>): V128 =>
    new Node(NodeKind.SimdLane, op, n(a), n(value), null, lane);
const vload =
  (op: number, align: number) =>
  (address: I32, offset = 0): V128 =>
    new Node(NodeKind.SimdLoad, op, n(address), null, null, align, offset);

export const i32 = {
  /** @param value any integer whose low 32 bits are meant */
  const: (value: number): I32 => new Node(NodeKind.ConstI32, 0, null, null, null, value | 0),
  load: load<"i32">(0x28, 2),
  load8_s: load<"i32">(0x2c, 0),
  load8_u: load<"i32">(0x2d, 0),
  load16_s: load<"i32">(0x2e, 1),
  load16_u: load<"i32">(0x2f, 1),
  eqz: (a: I32): I32 => not(n(a)),
  eq: bin<"i32">(0x46),
  ne: bin<"i32">(0x47),
  lt_s: bin<"i32">(0x48),
  lt_u: bin<"i32">(0x49),
  gt_s: bin<"i32">(0x4a),
  gt_u: bin<"i32">(0x4b),
  le_s: bin<"i32">(0x4c),
  le_u: bin<"i32">(0x4d),
  ge_s: bin<"i32">(0x4e),
  ge_u: bin<"i32">(0x4f),
  clz: un<"i32", "i32">(0x67),
  ctz: un<"i32", "i32">(0x68),
  popcnt: un<"i32", "i32">(0x69),
  add: bin<"i32">(0x6a),
  sub: bin<"i32">(0x6b),
  mul: bin<"i32">(0x6c),
  div_s: bin<"i32">(0x6d),
  div_u: bin<"i32">(0x6e),
  rem_s: bin<"i32">(0x6f),
  rem_u: bin<"i32">(0x70),
  and: bin<"i32">(0x71),
  or: bin<"i32">(0x72),
  xor: bin<"i32">(0x73),
  shl: bin<"i32">(0x74),
  shr_s: bin<"i32">(0x75),
  shr_u: bin<"i32">(0x76),
  rotl: bin<"i32">(0x77),
  rotr: bin<"i32">(0x78),
  wrap_i64: un<"i64", "i32">(0xa7),
  reinterpret_f32: un<"f32", "i32">(0xbc),
  extend8_s: un<"i32", "i32">(0xc0),
  extend16_s: un<"i32", "i32">(0xc1),
  trunc_sat_f32_s: sat<"f32", "i32">(0),
  trunc_sat_f32_u: sat<"f32", "i32">(1),
  trunc_sat_f64_s: sat<"f64", "i32">(2),
  trunc_sat_f64_u: sat<"f64", "i32">(3),
} as const;

export const i64 = {
  /** @param value an integer; a number must be safe (|value| < 2^53), a bigint is taken modulo 2^64 */
  const: (value: number | bigint): I64 => {
    if (typeof value === "number") return i64.const2(value, Math.floor(value / 0x100000000));
    return i64.const2(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  },
  /** The constant with these 32-bit halves. */
  const2: (lo: number, hi: number): I64 => constant64(lo | 0, hi | 0),
  load: load<"i64">(0x29, 3),
  load8_s: load<"i64">(0x30, 0),
  load8_u: narrow(8, load<"i64">(0x31, 0)),
  load16_s: load<"i64">(0x32, 1),
  load16_u: narrow(16, load<"i64">(0x33, 1)),
  load32_s: load<"i64">(0x34, 2),
  load32_u: narrow(32, load<"i64">(0x35, 2)),
  eqz: un<"i64", "i32">(0x50),
  eq: bin<"i64", "i32">(0x51),
  ne: bin<"i64", "i32">(0x52),
  lt_s: bin<"i64", "i32">(0x53),
  lt_u: bin<"i64", "i32">(0x54),
  gt_s: bin<"i64", "i32">(0x55),
  gt_u: bin<"i64", "i32">(0x56),
  le_s: bin<"i64", "i32">(0x57),
  le_u: bin<"i64", "i32">(0x58),
  ge_s: bin<"i64", "i32">(0x59),
  ge_u: bin<"i64", "i32">(0x5a),
  clz: un<"i64", "i64">(0x79),
  ctz: un<"i64", "i64">(0x7a),
  popcnt: un<"i64", "i64">(0x7b),
  add: folded(add64),
  sub: folded(sub64),
  mul: bin<"i64">(0x7e),
  div_s: bin<"i64">(0x7f),
  div_u: bin<"i64">(0x80),
  rem_s: bin<"i64">(0x81),
  rem_u: bin<"i64">(0x82),
  and: folded(and64),
  or: folded(or64),
  xor: folded(xor64),
  shl: folded(shl64),
  shr_s: folded(shrS64),
  shr_u: folded(shrU64),
  rotl: bin<"i64">(0x89),
  rotr: bin<"i64">(0x8a),
  extend_i32_s: un<"i32", "i64">(0xac),
  extend_i32_u: (a: I32): I64 => narrowed(new Node(NodeKind.Op, 0xad, n(a)), 32),
  reinterpret_f64: un<"f64", "i64">(0xbd),
  extend8_s: un<"i64", "i64">(0xc2),
  extend16_s: un<"i64", "i64">(0xc3),
  extend32_s: un<"i64", "i64">(0xc4),
  trunc_sat_f32_s: sat<"f32", "i64">(4),
  trunc_sat_f32_u: sat<"f32", "i64">(5),
  trunc_sat_f64_s: sat<"f64", "i64">(6),
  trunc_sat_f64_u: sat<"f64", "i64">(7),
} as const;

export const f32 = {
  const: (value: number): F32 => new Node(NodeKind.ConstF32, 0, null, null, null, value),
  load: load<"f32">(0x2a, 2),
  eq: bin<"f32", "i32">(0x5b),
  ne: bin<"f32", "i32">(0x5c),
  lt: bin<"f32", "i32">(0x5d),
  gt: bin<"f32", "i32">(0x5e),
  le: bin<"f32", "i32">(0x5f),
  ge: bin<"f32", "i32">(0x60),
  abs: un<"f32", "f32">(0x8b),
  neg: un<"f32", "f32">(0x8c),
  ceil: un<"f32", "f32">(0x8d),
  floor: un<"f32", "f32">(0x8e),
  trunc: un<"f32", "f32">(0x8f),
  nearest: un<"f32", "f32">(0x90),
  sqrt: un<"f32", "f32">(0x91),
  add: bin<"f32">(0x92),
  sub: bin<"f32">(0x93),
  mul: bin<"f32">(0x94),
  div: bin<"f32">(0x95),
  min: bin<"f32">(0x96),
  max: bin<"f32">(0x97),
  copysign: bin<"f32">(0x98),
  convert_i32_s: un<"i32", "f32">(0xb2),
  convert_i32_u: un<"i32", "f32">(0xb3),
  convert_i64_s: un<"i64", "f32">(0xb4),
  convert_i64_u: un<"i64", "f32">(0xb5),
  demote_f64: un<"f64", "f32">(0xb6),
  reinterpret_i32: un<"i32", "f32">(0xbe),
} as const;

export const f64 = {
  const: (value: number): F64 => new Node(NodeKind.ConstF64, 0, null, null, null, value),
  load: load<"f64">(0x2b, 3),
  eq: bin<"f64", "i32">(0x61),
  ne: bin<"f64", "i32">(0x62),
  lt: bin<"f64", "i32">(0x63),
  gt: bin<"f64", "i32">(0x64),
  le: bin<"f64", "i32">(0x65),
  ge: bin<"f64", "i32">(0x66),
  abs: un<"f64", "f64">(0x99),
  neg: un<"f64", "f64">(0x9a),
  ceil: un<"f64", "f64">(0x9b),
  floor: un<"f64", "f64">(0x9c),
  trunc: un<"f64", "f64">(0x9d),
  nearest: un<"f64", "f64">(0x9e),
  sqrt: un<"f64", "f64">(0x9f),
  add: bin<"f64">(0xa0),
  sub: bin<"f64">(0xa1),
  mul: bin<"f64">(0xa2),
  div: bin<"f64">(0xa3),
  min: bin<"f64">(0xa4),
  max: bin<"f64">(0xa5),
  copysign: bin<"f64">(0xa6),
  convert_i32_s: un<"i32", "f64">(0xb7),
  convert_i32_u: un<"i32", "f64">(0xb8),
  convert_i64_s: un<"i64", "f64">(0xb9),
  convert_i64_u: un<"i64", "f64">(0xba),
  promote_f32: un<"f32", "f64">(0xbb),
  reinterpret_i64: un<"i64", "f64">(0xbf),
} as const;

export const v128 = {
  /** @param bytes the 16 bytes, lane 0 first */
  const: (bytes: Uint8Array): V128 => new Node(NodeKind.SimdBytes, 12, null, null, null, 0, 0, bytes),
  load: vload(0, 4),
  load8_splat: vload(7, 0),
  load32_zero: vload(92, 2),
  load64_zero: vload(93, 3),
  not: vun(77),
  and: vbin(78),
  andnot: vbin(79),
  or: vbin(80),
  xor: vbin(81),
  bitselect: (a: V128, b: V128, mask: V128): V128 => new Node(NodeKind.Simd, 82, n(a), n(b), n(mask)),
  any_true: vun<"v128", "i32">(83),
} as const;

export const i8x16 = {
  /** @param lanes 16 indexes, 0-15 of `a`, 16-31 of `b` */
  shuffle: (a: V128, b: V128, lanes: readonly number[]): V128 =>
    new Node(NodeKind.SimdBytes, 13, n(a), n(b), null, 0, 0, Uint8Array.from(lanes)),
  swizzle: vbin(14),
  splat: vun<"i32", "v128">(15),
  extract_lane_s: extract<"i32">(21),
  extract_lane_u: extract<"i32">(22),
  replace_lane: replace<"i32">(23),
  eq: vbin(35),
  gt_s: vbin(39),
  abs: vun(96),
  neg: vun(97),
  bitmask: vun<"v128", "i32">(100),
  narrow_i16x8_s: vbin(101),
  narrow_i16x8_u: vbin(102),
  shl: vshift(107),
  shr_s: vshift(108),
  shr_u: vshift(109),
  add: vbin(110),
  add_sat_s: vbin(111),
  add_sat_u: vbin(112),
  sub: vbin(113),
  sub_sat_s: vbin(114),
  sub_sat_u: vbin(115),
  min_s: vbin(118),
  min_u: vbin(119),
  max_s: vbin(120),
  max_u: vbin(121),
  avgr_u: vbin(123),
} as const;

export const i16x8 = {
  splat: vun<"i32", "v128">(16),
  extract_lane_u: extract<"i32">(25),
  replace_lane: replace<"i32">(26),
  eq: vbin(45),
  gt_s: vbin(49),
  extadd_pairwise_i8x16_s: vun(124),
  extadd_pairwise_i8x16_u: vun(125),
  abs: vun(128),
  q15mulr_sat_s: vbin(130),
  narrow_i32x4_s: vbin(133),
  narrow_i32x4_u: vbin(134),
  extend_low_i8x16_s: vun(135),
  extend_high_i8x16_s: vun(136),
  extend_low_i8x16_u: vun(137),
  extend_high_i8x16_u: vun(138),
  shl: vshift(139),
  shr_s: vshift(140),
  shr_u: vshift(141),
  add: vbin(142),
  add_sat_s: vbin(143),
  add_sat_u: vbin(144),
  sub: vbin(145),
  sub_sat_s: vbin(146),
  sub_sat_u: vbin(147),
  mul: vbin(149),
  min_s: vbin(150),
  min_u: vbin(151),
  max_s: vbin(152),
  max_u: vbin(153),
  avgr_u: vbin(155),
} as const;

export const i32x4 = {
  splat: vun<"i32", "v128">(17),
  extract_lane: extract<"i32">(27),
  replace_lane: replace<"i32">(28),
  eq: vbin(55),
  gt_s: vbin(59),
  extadd_pairwise_i16x8_s: vun(126),
  extadd_pairwise_i16x8_u: vun(127),
  abs: vun(160),
  bitmask: vun<"v128", "i32">(164),
  extend_low_i16x8_s: vun(167),
  extend_high_i16x8_s: vun(168),
  extend_low_i16x8_u: vun(169),
  extend_high_i16x8_u: vun(170),
  shl: vshift(171),
  shr_s: vshift(172),
  shr_u: vshift(173),
  add: vbin(174),
  sub: vbin(177),
  mul: vbin(181),
  min_s: vbin(182),
  min_u: vbin(183),
  max_s: vbin(184),
  max_u: vbin(185),
  dot_i16x8_s: vbin(186),
  extmul_low_i16x8_s: vbin(188),
  extmul_high_i16x8_s: vbin(189),
  extmul_low_i16x8_u: vbin(190),
  extmul_high_i16x8_u: vbin(191),
} as const;

export const i64x2 = {
  splat: vun<"i64", "v128">(18),
  extract_lane: extract<"i64">(29),
  replace_lane: replace<"i64">(30),
  bitmask: vun<"v128", "i32">(196),
  extend_low_i32x4_s: vun(199),
  extend_high_i32x4_s: vun(200),
  extend_low_i32x4_u: vun(201),
  extend_high_i32x4_u: vun(202),
  shl: vshift(203),
  shr_s: vshift(204),
  shr_u: vshift(205),
  add: vbin(206),
  sub: vbin(209),
  mul: vbin(213),
  eq: vbin(214),
  gt_s: vbin(217),
  extmul_low_i32x4_s: vbin(220),
  extmul_low_i32x4_u: vbin(222),
} as const;

export const f32x4 = {
  splat: vun<"f32", "v128">(19),
  extract_lane: extract<"f32">(31),
  replace_lane: replace<"f32">(32),
  eq: vbin(65),
  ne: vbin(66),
  lt: vbin(67),
  gt: vbin(68),
  le: vbin(69),
  ge: vbin(70),
  abs: vun(224),
  sqrt: vun(227),
  add: vbin(228),
  sub: vbin(229),
  mul: vbin(230),
  div: vbin(231),
  pmin: vbin(234),
  pmax: vbin(235),
} as const;

export const f64x2 = {
  splat: vun<"f64", "v128">(20),
  extract_lane: extract<"f64">(33),
  replace_lane: replace<"f64">(34),
  eq: vbin(71),
  ne: vbin(72),
  lt: vbin(73),
  gt: vbin(74),
  le: vbin(75),
  ge: vbin(76),
  abs: vun(236),
  sqrt: vun(239),
  add: vbin(240),
  sub: vbin(241),
  mul: vbin(242),
  div: vbin(243),
  pmin: vbin(246),
  pmax: vbin(247),
} as const;

/** `condition ? a : b`; both are evaluated. */
export function select<T extends ValType>(condition: I32, a: Expr<T>, b: Expr<T>): Expr<T> {
  return new Node(NodeKind.Op, 0x1b, n(a), n(b), n(condition));
}
