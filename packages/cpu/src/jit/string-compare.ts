import { i8x16, i32, i64, type Local, select, v128 } from "@vm/wasm";
import type { Insn } from "../decode/index.js";
import type { Ctx, I32, Row, V128 } from "../sem/ctx.js";
import * as S from "../state.js";

/** PCMPISTRI of bytes in regions (SDM vol. 2, 4.1): the C library's string functions are full of it. */

const BYTES = 16;
const ALL = 0xffff;
const RCX = 1;

/** Bits of the control byte: elements are words, are signed; the result is negated, where elements are valid; the last one counts. */
const WORDS = 1;
const SIGNED = 2;
const NEGATED = 0x10;
const VALID = 0x20;
const LAST = 0x40;

/** Operands of a comparison, and how many bytes of each lie before its first zero. */
interface Compared {
  readonly c: Ctx;
  readonly a: Local<"v128">;
  readonly b: Local<"v128">;
  readonly la: Local<"i32">;
  /** A bit for each byte of `b` before its end. */
  readonly valid: Local<"i32">;
  readonly signed: boolean;
}

const lowest = (count: I32): I32 => i32.sub(i32.shl(i32.const(1), count), i32.const(1));
const bits = (vector: V128): I32 => i8x16.bitmask(vector);

/** How many bytes lie before the first zero. */
function lengthOf(c: Ctx, vector: V128): Local<"i32"> {
  const zeros = bits(i8x16.eq(vector, v128.const(new Uint8Array(BYTES))));
  return c.f.let("i32", i32.ctz(i32.or(zeros, i32.const(1 << BYTES))));
}

/** For each of the bytes of `a` before its end, `step` at a time. */
function eachOf({ c: { f }, la }: Compared, step: number, body: (k: Local<"i32">) => void): void {
  const k = f.let("i32", i32.const(0));
  f.block((done) => {
    f.loop((again) => {
      f.brIf(i32.gt_u(i32.add(k, i32.const(step)), la), done);
      body(k);
      f.set(k, i32.add(k, i32.const(step)));
      f.br(again);
    });
  });
}

/** Byte `k` of `a`, in all places. */
const spread = (a: V128, k: I32): V128 => i8x16.swizzle(a, i8x16.splat(k));

/** Bytes of `b` that are among those of `a`. */
function equalAny(compared: Compared): I32 {
  const { c, a, b, valid } = compared;
  const found = c.f.let("v128", v128.const(new Uint8Array(BYTES)));
  eachOf(compared, 1, (k) => c.f.set(found, v128.or(found, i8x16.eq(b, spread(a, k)))));
  return i32.and(bits(found), valid);
}

/** Bytes of `b` between two bounds, of which `a` has pairs. */
function inRanges(compared: Compared): I32 {
  const { c, a, b, valid, signed } = compared;
  const found = c.f.let("v128", v128.const(new Uint8Array(BYTES)));
  eachOf(compared, 2, (k) => {
    const low = spread(a, k);
    const high = spread(a, i32.add(k, i32.const(1)));
    const [max, min] = signed ? [i8x16.max_s, i8x16.min_s] : [i8x16.max_u, i8x16.min_u];
    const within = v128.and(i8x16.eq(max(b, low), b), i8x16.eq(min(b, high), b));
    c.f.set(found, v128.or(found, within));
  });
  return i32.and(bits(found), valid);
}

/** Beyond both ends is equal, beyond one is not. */
function equalEach({ c, a, b, la, valid }: Compared): I32 {
  const own = c.f.let("i32", lowest(la));
  const equal = i32.and(bits(i8x16.eq(a, b)), i32.and(own, valid));
  return i32.or(equal, i32.xor(i32.or(own, valid), i32.const(ALL)));
}

/** `a` found at a byte of `b`, as far as both reach. */
function equalOrdered(compared: Compared): I32 {
  const { c, a, b, valid } = compared;
  const found = c.f.let("i32", i32.const(ALL));
  eachOf(compared, 1, (k) => {
    const here = i32.shr_u(i32.and(bits(i8x16.eq(b, spread(a, k))), valid), k);
    const beyond = i32.shr_u(i32.const(ALL << BYTES), k);
    c.f.set(found, i32.and(found, i32.or(here, beyond)));
  });
  return i32.and(found, i32.const(ALL));
}

const AGGREGATIONS: readonly ((compared: Compared) => I32)[] = [equalAny, inRanges, equalEach, equalOrdered];

function emit(c: Ctx): void {
  const { f } = c;
  const control = c.constant(2) as number;
  const [a, b] = [c.getX(0), c.getX(1)];
  const [la, lb] = [lengthOf(c, a), lengthOf(c, b)];
  const valid = f.let("i32", lowest(lb));
  const aggregate = AGGREGATIONS[(control >> 2) & 3] as (compared: Compared) => I32;
  const raw = aggregate({ c, a, b, la, valid, signed: (control & SIGNED) !== 0 });
  const negate = control & VALID ? valid : i32.const(ALL);
  const result = f.let("i32", control & NEGATED ? i32.xor(raw, negate) : raw);
  const none = i32.const(BYTES);
  const first = i32.ctz(i32.or(result, i32.const(1 << BYTES)));
  const last = select(result, i32.sub(i32.const(31), i32.clz(result)), none);
  const flag = (condition: I32, bit: number): I32 => i32.mul(condition, i32.const(bit));
  const carry = flag(i32.ne(result, i32.const(0)), S.CF);
  const ends = i32.or(flag(i32.lt_u(lb, none), S.ZF), flag(i32.lt_u(la, none), S.SF));
  const overflow = flag(i32.and(result, i32.const(1)), S.OF);
  c.flags.unpack(i32.or(i32.or(carry, ends), overflow));
  c.setReg(RCX, i64.extend_i32_u(control & LAST ? last : first), 8);
}

/** The row of a PCMPISTRI that regions know, or null. */
export function stringCompareRow({ op, immLo }: Insn): Row | null {
  if (op !== "pcmpistri" || immLo & WORDS) return null;
  return { name: op, sizes: [8], forms: ["xxi"], sse: true, unaligned: true, emit };
}
