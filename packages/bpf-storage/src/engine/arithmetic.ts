import { type Expr, i32, i64 } from "@vm/wasm";
import type { Machine } from "./machine.js";
import type { Arithmetic, Unary } from "./operation.js";

/** Arithmetic of RFC 9669, 4.1 and 4.2, written once for both widths. */

type I32 = Expr<"i32">;
type I64 = Expr<"i64">;

/** The instructions of one width. */
interface Width<T extends "i32" | "i64"> {
  readonly type: T;
  readonly constant: (value: number) => Expr<T>;
  readonly eqz: (a: Expr<T>) => I32;
  readonly eq: (a: Expr<T>, b: Expr<T>) => I32;
  readonly binary: Readonly<
    Record<
      "add" | "sub" | "mul" | "div_s" | "div_u" | "rem_s" | "rem_u" | "or" | "and" | "xor" | "shl" | "shr_s" | "shr_u",
      (a: Expr<T>, b: Expr<T>) => Expr<T>
    >
  >;
  readonly extend8: (a: Expr<T>) => Expr<T>;
  readonly extend16: (a: Expr<T>) => Expr<T>;
  readonly extend32: (a: Expr<T>) => Expr<T>;
}

const WORD: Width<"i32"> = {
  type: "i32",
  constant: i32.const,
  eqz: i32.eqz,
  eq: i32.eq,
  binary: i32,
  extend8: i32.extend8_s,
  extend16: i32.extend16_s,
  extend32: (a) => a,
};
const DOUBLE: Width<"i64"> = {
  type: "i64",
  constant: i64.const,
  eqz: i64.eqz,
  eq: i64.eq,
  binary: i64,
  extend8: i64.extend8_s,
  extend16: i64.extend16_s,
  extend32: i64.extend32_s,
};

/**
 * `a` op `b`.
 * @param known what `b` is, if that is known while code is written: signed
 */
function result<T extends "i32" | "i64">(
  { f }: Machine,
  width: Width<T>,
  op: Arithmetic,
  a: Expr<T>,
  b: Expr<T>,
  known: number | null,
): Expr<T> {
  const { binary, constant, eqz, eq, type } = width;
  const { add, sub, mul, or, and, xor, shl, shr_s, shr_u } = binary;
  switch (op) {
    case "add":
      return add(a, b);
    case "sub":
      return sub(a, b);
    case "mul":
      return mul(a, b);
    case "or":
      return or(a, b);
    case "and":
      return and(a, b);
    case "xor":
      return xor(a, b);
    // WebAssembly takes counts modulo the width, as BPF does.
    case "lsh":
      return shl(a, b);
    case "rsh":
      return shr_u(a, b);
    case "arsh":
      return shr_s(a, b);
    case "mov":
      return b;
    case "movsx8":
      return width.extend8(b);
    case "movsx16":
      return width.extend16(b);
    case "movsx32":
      return width.extend32(b);
    default:
  }
  const modulo = op === "mod" || op === "smod";
  const signed = op === "sdiv" || op === "smod";
  const divide = signed ? (modulo ? binary.rem_s : binary.div_s) : modulo ? binary.rem_u : binary.div_u;
  if (known !== null) {
    if (known === 0) return modulo ? a : constant(0);
    // WebAssembly traps on the one quotient that overflows.
    if (known === -1 && op === "sdiv") return sub(constant(0), a);
    return divide(a, b);
  }
  const value = f.temp(type);
  const divisor = f.let(type, b);
  f.set(value, a);
  f.if(
    eqz(divisor),
    () => {
      if (!modulo) f.set(value, constant(0));
    },
    () => {
      if (op !== "sdiv") f.set(value, divide(value, divisor));
      else
        f.if(
          eq(divisor, constant(-1)),
          () => f.set(value, sub(constant(0), value)),
          () => f.set(value, divide(value, divisor)),
        );
    },
  );
  return value;
}

/** `dst = dst op operand`. */
export function arithmetic(m: Machine, op: Arithmetic, wide: boolean, immediate: boolean): void {
  const known = immediate ? m.known : null;
  if (wide) {
    const operand = immediate ? m.immediate64() : m.get64("src");
    m.set64("dst", result(m, DOUBLE, op, m.get64("dst"), operand, known));
  } else {
    const operand = immediate ? m.immediate32() : m.get32("src");
    m.set32("dst", result(m, WORD, op, m.get32("dst"), operand, known));
  }
}

const swap32 = (a: I32): I32 =>
  i32.or(
    i32.and(i32.rotl(a, i32.const(8)), i32.const(0x00ff00ff)),
    i32.and(i32.rotr(a, i32.const(8)), i32.const(0xff00ff00)),
  );

/** `dst = op dst`. Bytes are in the order of the host, little-endian: `le` only cuts off. */
export function unary(m: Machine, op: Unary, wide: boolean): void {
  switch (op) {
    case "neg":
      if (wide) m.set64("dst", i64.sub(i64.const(0), m.get64("dst")));
      else m.set32("dst", i32.sub(i32.const(0), m.get32("dst")));
      break;
    case "le16":
      m.set32("dst", i32.and(m.get32("dst"), i32.const(0xffff)));
      break;
    case "le32":
      m.set32("dst", m.get32("dst"));
      break;
    case "le64":
      break;
    case "swap16": {
      const value = m.f.let("i32", m.get32("dst"));
      const upper = i32.and(i32.shl(value, i32.const(8)), i32.const(0xff00));
      m.set32("dst", i32.or(upper, i32.and(i32.shr_u(value, i32.const(8)), i32.const(0xff))));
      break;
    }
    case "swap32":
      m.set32("dst", swap32(m.f.let("i32", m.get32("dst"))));
      break;
    case "swap64": {
      const value = m.f.let("i64", m.get64("dst"));
      const low = m.f.let("i32", i32.wrap_i64(value));
      const high = m.f.let("i32", i32.wrap_i64(i64.shr_u(value, i64.const(32))));
      const swapped: I64 = i64.or(
        i64.shl(i64.extend_i32_u(swap32(low)), i64.const(32)),
        i64.extend_i32_u(swap32(high)),
      );
      m.set64("dst", swapped);
    }
  }
}
