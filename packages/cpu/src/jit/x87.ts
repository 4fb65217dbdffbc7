import { type Expr, type FunctionBuilder, i32, type Local, type ModuleBuilder } from "@vm/wasm";
import { x87Destination, x87Record } from "../code/x87.js";
import type { Insn } from "../decode/index.js";
import type { Ctx, I32, Row } from "../sem/ctx.js";
import { C0, C3 } from "../x87/compare.js";
import { X87_OPERATIONS, X87_PARAMETERS, x87Number } from "../x87/functions.js";
import { FCMOV_CONDITIONS } from "../x87/move.js";

/** x87 instructions in regions: calls of the functions that the interpreter calls, through its table. */

/** The table as modules with regions import it. */
const tables = new WeakMap<ModuleBuilder, number>();

function tableOf(m: ModuleBuilder): number {
  let table = tables.get(m);
  if (table === undefined) {
    table = m.importTable("vm", "x87", { min: X87_OPERATIONS.length });
    tables.set(m, table);
  }
  return table;
}

/** The answer of the function of an operation. */
export function callX87(
  m: ModuleBuilder,
  f: FunctionBuilder,
  cpu: Local<"i32">,
  operation: number,
  register: number,
  operand: Expr<"i32">,
): I32 {
  const type = m.type(X87_PARAMETERS, "i32");
  return f.callIndirect(type, tableOf(m), i32.const(operation), cpu, i32.const(register), operand);
}

const CHOSEN = x87Number("fcmov.0i") as number;
const has = (answer: I32, code: number): I32 => i32.ne(i32.and(answer, i32.const(code)), i32.const(0));

/** The row of an x87 instruction that regions know, or null. */
export function x87Row(insn: Insn): Row | null {
  const record = x87Record(insn);
  // FNSTSW AX writes a register, which is a region's own.
  if (record === null || (insn.op === "fnstsw" && record.bytes === 0)) return null;
  const { operation, bytes, writes } = record;
  const call = { operation, register: x87Destination(record, insn), bytes, writes };
  const cc = FCMOV_CONDITIONS[insn.op.slice("fcmov".length)];
  const emit = (c: Ctx): void => {
    if (insn.op.startsWith("fcmov") && cc !== undefined) {
      c.x87({ ...call, operation: CHOSEN, told: c.f.let("i32", c.flags.condition(cc)) });
      return;
    }
    const answer = c.x87(call);
    if (/^fu?comip?$/.test(insn.op)) c.flags.compare(has(answer, C3), has(answer, C0));
  };
  return { name: `x87.${insn.op}`, sizes: [], forms: [], emit };
}
