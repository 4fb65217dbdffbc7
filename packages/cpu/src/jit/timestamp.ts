import { i32, i64 } from "@vm/wasm";
import type { Insn } from "../decode/index.js";
import type { Ctx, I32, I64, Row, Stamp } from "../sem/ctx.js";
import * as S from "../state.js";
import type { RegionLocals } from "./region-locals.js";

const [RAX, RCX, RDX] = [0, 1, 2];

/** The row of RDTSC or RDTSCP in a region, or null: programs read the clock all the time, and their loops are regions. */
export function timestampRow({ op }: Insn): Row | null {
  if (op !== "rdtsc" && op !== "rdtscp") return null;
  const emit = (c: Ctx): void => {
    const { low, high, aux } = c.timestamp();
    c.setReg(RAX, low, 8);
    c.setReg(RDX, high, 8);
    if (op === "rdtscp") c.setReg(RCX, aux, 8);
  };
  return { name: op, sizes: [], forms: [], emit };
}

/**
 * Reads the counter in the middle of a block.
 * @param behind instructions of the block that are still to come
 * @param leaveIf leaves the instruction to the interpreter
 */
export function readTimestamp(
  { f, cpu, left, callees }: RegionLocals,
  behind: number,
  leaveIf: (refused: I32) => void,
): Stamp {
  // Where time is counted in instructions, this one has been counted and those behind it have not.
  f.store("i32.store", cpu, i32.add(left, i32.const(behind)), S.BUDGET);
  leaveIf(i32.eqz(f.call(callees.timestamp, cpu)));
  const word = (offset: number): I64 => i64.load32_u(cpu, offset);
  return { low: word(S.STAMP), high: word(S.STAMP + 4), aux: word(S.STAMP_AUX) };
}
