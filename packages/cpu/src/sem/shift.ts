import { i32, i64 } from "@vm/wasm";
import type { Ctx, I64, Local64, Row, Size } from "./ctx.js";
import { signExtend, truncate } from "./widths.js";

const ALL: readonly Size[] = [1, 2, 4, 8];
const k = (value: number): I64 => i64.const(value);
const one = k(1);
/** Memory operands are left to the lowering: rotates and most shifts of memory are rare. */
const REGISTER = ["rr", "ri"];
const bit = (value: I64, at: I64): I64 => i64.and(i64.shr_u(value, at), one);

/**
 * A shift or rotate. The count is masked to 6 bits for 64-bit operands, else 5; a count of 0 changes neither flags nor the
 * destination (a 32-bit register is still zero-extended). SDM vol. 2, SAL/SAR/SHL/SHR and RCL/RCR/ROL/ROR.
 */
const shift = (name: string, emit: (c: Ctx, a: Local64, count: I64, bits: number) => void, forms = REGISTER): Row => ({
  name,
  sizes: ALL,
  forms,
  modify: true,
  emit: (c) => {
    const a = c.get(0);
    counted(c, 1, a, (count) => emit(c, a, count, 8 * c.size));
  },
});

/** Does `shifted` with the masked count that operand `at` is; if it is 0 the destination keeps its value `a`. */
function counted(c: Ctx, at: number, a: Local64, shifted: (count: I64) => void): void {
  const mask = c.size === 8 ? 63 : 31;
  const known = c.constant(at);
  if (known !== null) {
    if ((known & mask) === 0) c.set(0, a);
    else shifted(k(known & mask));
    return;
  }
  const count = c.f.let("i64", i64.and(c.get(at), k(mask)));
  c.if(
    i64.eqz(count),
    () => c.set(0, a),
    () => shifted(count),
  );
}

const top = (bits: number): I64 => k(bits - 1);

/**
 * Rotate through carry by `count` of 1..bits positions to the left (`bits` + 1 wide). `right` tells that the instruction rotates
 * right (by bits + 1 - count), whose OF differs: the xor of the two most significant bits of the result.
 */
function rotateCarry(c: Ctx, a: Local64, count: I64, bits: number, right = false): void {
  const cf = c.f.let("i64", c.flags.carry());
  // Two shifts instead of one by (bits + 1 - count): that is 64 when count is 1 and bits 63 + 1.
  const wrapped = i64.shr_u(i64.shr_u(a, i64.sub(k(bits), count)), one);
  const low = i64.or(i64.shl(cf, i64.sub(count, one)), wrapped);
  const r = c.f.let("i64", truncate(i64.or(i64.shl(a, count), low), c.size));
  // A shift by 64 is a shift by 0 in wasm.
  if (bits === 64) c.if(i64.eq(count, k(64)), () => c.f.set(r, i64.or(i64.shl(cf, k(63)), i64.shr_u(a, one))));
  const out = c.f.let("i64", bit(a, i64.sub(k(bits), count)));
  c.set(0, r);
  c.flags.setCarryOverflow(out, i64.xor(bit(r, top(bits)), right ? bit(r, k(bits - 2)) : out));
}

export const SHIFT: readonly Row[] = [
  shift("shl", (c, a, count, bits) => {
    const r = c.f.let("i64", i64.shl(a, count));
    c.set(0, r);
    const cf = c.f.let("i64", bits === 64 ? bit(a, i64.sub(k(64), count)) : bit(r, k(bits)));
    c.flags.result(r, cf, i64.xor(bit(r, top(bits)), cf));
  }),
  shift("shr", (c, a, count, bits) => {
    const r = c.f.let("i64", i64.shr_u(a, count));
    c.set(0, r);
    c.flags.result(r, bit(a, i64.sub(count, one)), bit(a, top(bits)));
  }),
  shift("sar", (c, a, count) => {
    const extended = c.f.let("i64", signExtend(a, c.size));
    const r = c.f.let("i64", i64.shr_s(extended, count));
    c.set(0, r);
    c.flags.result(r, i64.and(i64.shr_s(extended, i64.sub(count, one)), one), k(0));
  }),
  shift("rol", (c, a, count, bits) => {
    const r = c.f.let("i64", rotateLeft(c, a, count, bits));
    c.set(0, r);
    c.flags.setCarryOverflow(i64.and(r, one), i64.and(i64.xor(r, i64.shr_u(r, top(bits))), one));
  }),
  shift("ror", (c, a, count, bits) => {
    const left = c.f.let("i64", i64.and(i64.sub(k(bits), count), k(bits - 1)));
    const r = c.f.let("i64", rotateLeft(c, a, left, bits));
    c.set(0, r);
    const cf = c.f.let("i64", bit(r, top(bits)));
    c.flags.setCarryOverflow(cf, i64.xor(cf, bit(r, k(bits - 2))));
  }),
  shift("rcl", (c, a, count, bits) => {
    const n = c.f.let("i64", i64.rem_u(count, k(bits + 1)));
    c.if(
      i64.eqz(n),
      () => rotateNothing(c, a, bits),
      () => rotateCarry(c, a, n, bits),
    );
  }),
  shift("rcr", (c, a, count, bits) => {
    const n = c.f.let("i64", i64.rem_u(count, k(bits + 1)));
    c.if(
      i64.eqz(n),
      () => rotateNothing(c, a, bits),
      () => rotateCarry(c, a, c.f.let("i64", i64.sub(k(bits + 1), n)), bits, true),
    );
  }),
  double("shld"),
  double("shrd"),
];

/** RCL/RCR by a multiple of bits + 1 (8- and 16-bit operands): value and CF stay, OF is computed as for any other count. */
function rotateNothing(c: Ctx, a: Local64, bits: number): void {
  c.set(0, a);
  const cf = c.f.let("i64", c.flags.carry());
  c.flags.setCarryOverflow(cf, i64.xor(bit(a, top(bits)), cf));
}

function rotateLeft(c: Ctx, a: Local64, count: I64, bits: number): I64 {
  if (bits === 64) return i64.rotl(a, count);
  if (bits === 32) return i64.extend_i32_u(i32.rotl(i32.wrap_i64(a), i32.wrap_i64(count)));
  const n = c.f.let("i64", i64.and(count, k(bits - 1)));
  return truncate(i64.or(i64.shl(a, n), i64.shr_u(a, i64.sub(k(bits), n))), c.size);
}

/**
 * SHLD/SHRD: operand 0 is shifted, bits of operand 1 enter; the count is operand 2 (immediate in the record, or CL). OF is that of the
 * first position, whatever the count. 16-bit operands shifted by more than 16 are undefined in the manual; as on Intel processors operand 0
 * itself enters behind operand 1 (on AMD's operand 1 once more), and CF is the last bit that left.
 */
function double(name: "shld" | "shrd"): Row {
  const left = name === "shld";
  return {
    name,
    sizes: [2, 4, 8],
    forms: ["rri", "rrc"],
    modify: true,
    emit: (c) => {
      const bits = 8 * c.size;
      const a = c.get(0);
      const b = c.get(1);
      counted(c, 2, a, (count) => {
        const { r, cf } = c.size === 2 ? tripled(c, a, b, count, left) : doubled(c, a, b, count, left);
        c.set(0, r);
        c.flags.result(r, cf, bit(left ? i64.xor(a, i64.shl(a, one)) : i64.xor(a, i64.shl(b, top(bits))), top(bits)));
      });
    },
  };
}

interface Shifted {
  readonly r: Local64;
  readonly cf: I64;
}

/** Operands of 32 or 64 bits, by 1 to bits - 1. */
function doubled(c: Ctx, a: Local64, b: Local64, count: I64, left: boolean): Shifted {
  const bits = 8 * c.size;
  const less = i64.sub(count, one);
  const before = c.f.let("i64", left ? i64.shl(a, less) : i64.shr_u(a, less));
  const rest = i64.sub(k(bits), count);
  const joined = left
    ? i64.or(i64.shl(before, one), i64.shr_u(b, rest))
    : i64.or(i64.shr_u(before, one), i64.shl(b, rest));
  return {
    r: c.f.let("i64", truncate(joined, c.size)),
    cf: left ? bit(before, top(bits)) : i64.and(before, one),
  };
}

/** Operands of 16 bits, by 1 to 31: operand 0, operand 1 and operand 0 again in a row. */
function tripled(c: Ctx, a: Local64, b: Local64, count: I64, left: boolean): Shifted {
  const row = c.f.let("i64", i64.or(i64.or(i64.shl(a, k(32)), i64.shl(b, k(16))), a));
  return {
    r: c.f.let("i64", truncate(left ? i64.shr_u(i64.shl(row, count), k(32)) : i64.shr_u(row, count), c.size)),
    cf: bit(row, left ? i64.sub(k(48), count) : i64.sub(count, one)),
  };
}
