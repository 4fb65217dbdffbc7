import { i32, i64 } from "@vm/wasm";
import type { Ctx, I32, I64, Local64, Row } from "./ctx.js";
import { signExtend, truncate } from "./widths.js";

const k = (value: number): I64 => i64.const(value);
const DE = 0;

/** Writes a double-width product: AX for bytes, else rDX:rAX. */
function setProduct(c: Ctx, low: I64, high: I64): void {
  if (c.size === 1) c.setReg(0, i64.or(i64.shl(i64.and(high, k(0xff)), k(8)), truncate(low, 1)), 2);
  else {
    c.setReg(0, low);
    c.setReg(2, high);
  }
}

/** High half of the signed product of two 64-bit values. */
function signedHigh(c: Ctx, a: Local64, b: Local64): I64 {
  const fix = (x: Local64, y: Local64): I64 => i64.and(i64.shr_s(x, k(63)), y);
  return i64.sub(i64.sub(c.mulHigh(a, b), fix(a, b)), fix(b, a));
}

/** SF ZF AF PF of a product are undefined; they are left as a logical result of the low half would set them. */
function productFlags(c: Ctx, low: I64, overflow: I32): void {
  const of = c.f.let("i64", i64.extend_i32_u(overflow));
  c.flags.result(low, of, of);
}

/** DIV and IDIV on operand 0. #DE for a zero divisor and for a quotient that does not fit. SDM vol. 2. */
function divide(signed: boolean): (c: Ctx) => void {
  return (c) => {
    const { f, size } = c;
    const bits = 8 * size;
    const divisor = f.let("i64", signed ? signExtend(c.get(0), size) : c.get(0));
    c.faultIf(i64.eqz(divisor), DE);
    if (size < 8) {
      // The dividend fits in 64 bits.
      const joined = i64.or(i64.shl(c.reg(2), k(bits)), c.reg(0));
      const wide = f.let("i64", size === 1 ? c.reg(0, 2) : joined);
      if (signed && size < 4) f.set(wide, signExtend(wide, size === 1 ? 2 : 4));
      // -2^63 / -1 traps in wasm; its quotient does not fit 32 bits anyway.
      if (signed && size === 4) {
        c.faultIf(i32.and(i64.eq(divisor, k(-1)), i64.eq(wide, i64.const2(0, 0x80000000))), DE);
      }
      const quotient = f.let("i64", signed ? i64.div_s(wide, divisor) : i64.div_u(wide, divisor));
      c.faultIf(i64.ne(signed ? signExtend(quotient, size) : truncate(quotient, size), quotient), DE);
      const remainder = f.let("i64", i64.sub(wide, i64.mul(quotient, divisor)));
      setProduct(c, quotient, remainder);
      return;
    }
    const high = f.let("i64", c.reg(2));
    const low = f.let("i64", c.reg(0));
    if (!signed) {
      c.faultIf(i64.ge_u(high, divisor), DE);
      const { quotient, remainder } = c.divide(high, low, divisor);
      setProduct(c, quotient, remainder);
      return;
    }
    const sign = f.let("i64", i64.shr_s(high, k(63)));
    const divisorSign = f.let("i64", i64.shr_s(divisor, k(63)));
    const negative = f.let("i64", i64.xor(sign, divisorSign));
    // Magnitudes: -x = ~x + 1; the high half takes the carry of the + 1, which is there only if the low half became zero.
    f.set(low, i64.sub(i64.xor(low, sign), sign));
    const carried = i64.and(sign, i64.extend_i32_u(i64.eqz(low)));
    f.set(high, i64.add(i64.xor(high, sign), carried));
    const magnitude = f.let("i64", i64.sub(i64.xor(divisor, divisorSign), divisorSign));
    c.faultIf(i64.ge_u(high, magnitude), DE);
    const { quotient, remainder } = c.divide(high, low, magnitude);
    // Largest magnitude: 2^63 for a negative quotient, 2^63 - 1 for a positive one.
    c.faultIf(i64.gt_u(quotient, i64.sub(i64.const2(-1, 0x7fffffff), negative)), DE);
    c.setReg(0, i64.sub(i64.xor(quotient, negative), negative));
    c.setReg(2, i64.sub(i64.xor(remainder, sign), sign));
  };
}

export const MULDIV: readonly Row[] = [
  {
    name: "mul",
    sizes: [1, 2, 4, 8],
    forms: ["r", "m"],
    reads: true,
    emit: (c) => {
      const a = c.f.let("i64", c.reg(0));
      const b = c.get(0);
      const low = c.f.let("i64", i64.mul(a, b));
      const high = c.f.let("i64", c.size === 8 ? c.mulHigh(a, b) : i64.shr_u(low, k(8 * c.size)));
      setProduct(c, low, high);
      productFlags(c, low, i64.ne(high, k(0)));
    },
  },
  {
    name: "imul1",
    sizes: [1, 2, 4, 8],
    forms: ["r", "m"],
    reads: true,
    emit: (c) => {
      const a = c.f.let("i64", signExtend(c.reg(0), c.size));
      const b = c.f.let("i64", signExtend(c.get(0), c.size));
      const low = c.f.let("i64", i64.mul(a, b));
      const high = c.f.let("i64", c.size === 8 ? signedHigh(c, a, b) : i64.shr_s(low, k(8 * c.size)));
      setProduct(c, low, high);
      productFlags(c, low, c.size === 8 ? i64.ne(high, i64.shr_s(low, k(63))) : i64.ne(signExtend(low, c.size), low));
    },
  },
  {
    name: "imul",
    sizes: [2, 4, 8],
    forms: ["rr", "rm", "rri", "rmi"],
    emit: (c) => {
      const a = c.f.let("i64", signExtend(c.get(c.operands === 3 ? 2 : 0), c.size));
      const b = c.f.let("i64", signExtend(c.get(1), c.size));
      const low = c.f.let("i64", i64.mul(a, b));
      const high =
        c.size === 8 ? i64.ne(signedHigh(c, a, b), i64.shr_s(low, k(63))) : i64.ne(signExtend(low, c.size), low);
      const overflow = c.f.let("i32", high);
      c.set(0, low);
      productFlags(c, low, overflow);
    },
  },
  { name: "div", sizes: [1, 2, 4, 8], forms: ["r", "m"], reads: true, emit: divide(false) },
  { name: "idiv", sizes: [1, 2, 4, 8], forms: ["r", "m"], reads: true, emit: divide(true) },
];
