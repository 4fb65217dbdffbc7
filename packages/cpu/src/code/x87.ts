import { type Insn, Kind, type Operand } from "../decode/index.js";
import * as S from "../state.js";
import { x87Number } from "../x87/functions.js";
import { numberOf } from "./step.js";

/** Where `R_DST` comes from. */
enum From {
  Nothing,
  /** The register named. */
  Operand0,
  Operand1,
  /** Outside 64-bit code the slot of the bounds of the memory operand's segment. */
  Segment,
}

/** The record of x87 instructions that are executed in wasm where they are an ordinary case. Otherwise their site names the helper. */
export interface X87Record {
  readonly handler: number;
  readonly operation: number;
  readonly from: From;
  /** Bytes of the memory operand, 0 if there is none. */
  readonly bytes: number;
  /** The memory operand is written. */
  readonly writes: boolean;
}

/** Instructions that write their memory operand. */
const WRITES = /^(fst|fist|fnst)/;

/** Records by shape, two each: the first register is ST(0), or it is not. */
const known = new Map<number, X87Record | null>();

/** The record of `insn`, or null if it is not of the x87 or always its helper's. */
export function x87Record(insn: Insn): X87Record | null {
  const key = 2 * insn.shape + (insn.operands[0].reg === 0 ? 0 : 1);
  let record = known.get(key);
  if (record === undefined) {
    record = find(insn);
    known.set(key, record);
  }
  return record;
}

/** `R_DST` of the record of `insn`. */
export function x87Destination({ from, writes }: X87Record, { operands, seg }: Insn): number {
  switch (from) {
    case From.Operand0:
      return operands[0].reg;
    case From.Operand1:
      return operands[1].reg;
    case From.Segment:
      return S.SEG_RANGE + 16 * seg + (writes ? 8 : 0);
    default:
      return 0;
  }
}

function find(insn: Insn): X87Record | null {
  const [op0] = insn.operands;
  if (insn.nops === 0) return plan(insn.op, "x87", From.Nothing);
  if (op0.kind === Kind.Mem) return onMemory(insn, op0);
  if (op0.kind === Kind.Gpr) return plan(`${insn.op}.r`, "x87", From.Nothing);
  if (op0.kind !== Kind.St) return null;
  if (insn.nops === 1) return plan(`${insn.op}.i`, "x87", From.Operand0);
  const onTop = op0.reg === 0 ? plan(`${insn.op}.0i`, "x87", From.Operand1) : null;
  return onTop ?? plan(`${insn.op}.i0`, "x87", From.Operand0);
}

function onMemory(insn: Insn, { size }: Operand): X87Record | null {
  const legacy = insn.mode !== 64;
  if (insn.addrSize !== (legacy ? 4 : 8)) return null;
  const write = WRITES.test(insn.op);
  const handler = `x87.${write ? "w" : "r"}${size}${legacy ? ".L" : ""}`;
  return plan(`${insn.op}.m${size}`, handler, legacy ? From.Segment : From.Nothing, size, write);
}

function plan(key: string, handler: string, from: From, bytes = 0, writes = false): X87Record | null {
  const operation = x87Number(key);
  return operation === undefined ? null : { handler: numberOf(handler), operation, from, bytes, writes };
}
