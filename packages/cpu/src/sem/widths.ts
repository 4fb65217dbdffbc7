import { i64 } from "@vm/wasm";
import type { I64, Size } from "./ctx.js";

/** `value` sign-extended from `size` bytes. */
export function signExtend(value: I64, size: Size): I64 {
  return size === 1
    ? i64.extend8_s(value)
    : size === 2
      ? i64.extend16_s(value)
      : size === 4
        ? i64.extend32_s(value)
        : value;
}

/** `value` truncated to `size` bytes. */
export function truncate(value: I64, size: Size): I64 {
  return size === 8 ? value : i64.and(value, i64.const2(size === 4 ? -1 : size === 2 ? 0xffff : 0xff, 0));
}
