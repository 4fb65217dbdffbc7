import { type Expr, type FunctionBuilder, i32, i64, type Local } from "@vm/wasm";
import type { I64 } from "../sem/ctx.js";
import * as S from "../state.js";

const PAGE_MASK = i64.const(-4096);

/** Address of the entry that a linear address has in the TLB at `base`. */
export function tlbEntry(base: Expr<"i32">, linear: I64): Expr<"i32"> {
  const index = i32.and(i32.shr_u(i32.wrap_i64(linear), i32.const(8)), i32.const((S.TLB_ENTRIES - 1) * S.TLB_ENTRY));
  return i32.add(base, index);
}

/** Host address of `size` bytes at `linear` through the TLB at `base`; `miss` must go elsewhere. */
export function tlbProbe(
  f: FunctionBuilder,
  base: Expr<"i32">,
  linear: Local<"i64">,
  size: number | Expr<"i32">,
  miss: () => void,
): Local<"i32"> {
  const entry = f.let("i32", tlbEntry(base, linear));
  f.if(i64.ne(lastPage(linear, size), i64.load(entry)), miss);
  return f.let("i32", i32.add(i32.wrap_i64(linear), i32.load(entry, 8)));
}

/** Page of the last byte of an access: differs from the entry's tag for a miss and for an access that crosses the page. */
function lastPage(linear: Local<"i64">, size: number | Expr<"i32">): I64 {
  if (size === 1) return i64.and(linear, PAGE_MASK);
  const further = typeof size === "number" ? i64.const(size - 1) : i64.extend_i32_u(i32.sub(size, i32.const(1)));
  return i64.and(i64.add(linear, further), PAGE_MASK);
}
