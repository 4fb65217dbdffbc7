import { i32, i64, type Local } from "@vm/wasm";
import { SlowAccess } from "../calls.js";
import type { I64 } from "../sem/ctx.js";
import * as S from "../state.js";
import type { Frame } from "./frame.js";

const PAGE_MASK = i64.const(-4096);

/** Host address of a memory access. A miss leaves the loop; the record is then started again. */
export function probe(frame: Frame, linear: Local<"i64">, size: number, access: SlowAccess): Local<"i32"> {
  const { f, cpu, exits } = frame;
  return translate(frame, linear, size, access, () => {
    f.store("i64.store", cpu, linear, S.SLOW_ADDRESS);
    f.store("i32.store", cpu, i32.const(access + size), S.SLOW_ACCESS);
    f.br(exits.miss);
  });
}

/** Host address of a memory access; `miss`, which must leave the record, is what is done without a TLB entry for it. */
export function translate(
  { f, cpu }: Frame,
  linear: Local<"i64">,
  size: number,
  access: SlowAccess,
  miss: () => void,
): Local<"i32"> {
  const index = i32.and(i32.shr_u(i32.wrap_i64(linear), i32.const(8)), i32.const((S.TLB_ENTRIES - 1) * S.TLB_ENTRY));
  const entry = f.let("i32", i32.add(i32.load(cpu, access === SlowAccess.Load ? S.TLB_READ : S.TLB_WRITE), index));
  f.if(i64.ne(lastPage(linear, size), i64.load(entry)), miss);
  return f.let("i32", i32.add(i32.wrap_i64(linear), i32.load(entry, 8)));
}

/** Page of the last byte of an access: differs from the entry's tag for a miss and for an access that crosses the page. */
function lastPage(linear: Local<"i64">, size: number): I64 {
  return i64.and(size === 1 ? linear : i64.add(linear, i64.const(size - 1)), PAGE_MASK);
}
