import { i32, type Local } from "@vm/wasm";
import { SlowAccess } from "../calls.js";
import { tlbProbe } from "../emit/tlb-probe.js";
import * as S from "../state.js";
import type { Frame } from "./frame.js";

/** Host address of a memory access. A miss leaves the loop; the record is then started again. */
export function probe({ f, cpu, exits }: Frame, linear: Local<"i64">, size: number, access: SlowAccess): Local<"i32"> {
  const base = i32.load(cpu, access === SlowAccess.Load ? S.TLB_READ : S.TLB_WRITE);
  return tlbProbe(f, base, linear, size, () => {
    f.store("i64.store", cpu, linear, S.SLOW_ADDRESS);
    f.store("i32.store", cpu, i32.const(access + size), S.SLOW_ACCESS);
    f.br(exits.miss);
  });
}
