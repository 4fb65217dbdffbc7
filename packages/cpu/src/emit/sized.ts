import { type Expr, type FunctionBuilder, i64 } from "@vm/wasm";
import type { I64, Size } from "../sem/ctx.js";
import { truncate } from "../sem/widths.js";

/** A value of `size` bytes, zero-extended. */
export function loadSized(address: Expr<"i32">, size: Size, offset = 0): I64 {
  return size === 1
    ? i64.load8_u(address, offset)
    : size === 2
      ? i64.load16_u(address, offset)
      : size === 4
        ? i64.load32_u(address, offset)
        : i64.load(address, offset);
}

export function storeSized(f: FunctionBuilder, address: Expr<"i32">, value: I64, size: Size): void {
  const op = size === 1 ? "i64.store8" : size === 2 ? "i64.store16" : size === 4 ? "i64.store32" : "i64.store";
  f.store(op, address, value);
}

/** Stores to a general register: 4 bytes are zero-extended, fewer merged. */
export function storeRegister(f: FunctionBuilder, address: Expr<"i32">, value: I64, size: Size): void {
  if (size === 4) f.store("i64.store", address, truncate(value, 4));
  else storeSized(f, address, value, size);
}
