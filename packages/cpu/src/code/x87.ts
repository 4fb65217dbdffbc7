import { type Insn, Kind, type Operand } from "../decode/index.js";
import * as S from "../state.js";
import { x87Number } from "../x87/functions.js";

/** The record of an x87 instruction that is executed in wasm where it is an ordinary case. Otherwise its site names the helper. */
export interface X87Record {
  readonly handler: string;
  readonly operation: number;
  /** `R_DST`: the register named; outside 64-bit code the slot of the bounds of the memory operand's segment. */
  readonly dst: number;
  /** Bytes of the memory operand, 0 if there is none. */
  readonly bytes: number;
  /** The memory operand is written. */
  readonly writes: boolean;
}

/** Instructions that write their memory operand. */
const WRITES = /^(fst|fist|fnst)/;

/** The record of `insn`, or null if it is not of the x87 or always its helper's. */
export function x87Record(insn: Insn): X87Record | null {
  const [op0, op1] = insn.operands;
  if (insn.nops === 0) return plan(insn.op, "x87", 0);
  if (op0.kind === Kind.Mem) return onMemory(insn, op0);
  if (op0.kind === Kind.Gpr) return plan(`${insn.op}.r`, "x87", 0);
  if (op0.kind !== Kind.St) return null;
  if (insn.nops === 1) return plan(`${insn.op}.i`, "x87", op0.reg);
  return (op0.reg === 0 ? plan(`${insn.op}.0i`, "x87", op1.reg) : null) ?? plan(`${insn.op}.i0`, "x87", op0.reg);
}

function onMemory(insn: Insn, { size }: Operand): X87Record | null {
  const legacy = insn.mode !== 64;
  if (insn.addrSize !== (legacy ? 4 : 8)) return null;
  const write = WRITES.test(insn.op);
  const range = legacy ? S.SEG_RANGE + 16 * insn.seg + (write ? 8 : 0) : 0;
  return plan(`${insn.op}.m${size}`, `x87.${write ? "w" : "r"}${size}${legacy ? ".L" : ""}`, range, size, write);
}

function plan(key: string, handler: string, dst: number, bytes = 0, writes = false): X87Record | null {
  const operation = x87Number(key);
  return operation === undefined ? null : { handler, operation, dst, bytes, writes };
}
