import { Kind } from "../../../decode/index.js";
import { Relation } from "../../../softfloat/index.js";
import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import { FAULT, NEXT } from "../common.js";
import { loadB } from "./x87-memory.js";
import {
  empty,
  FSW_C0,
  FSW_C1,
  FSW_C2,
  FSW_C3,
  highWord,
  lowWord,
  noteKeepingC1,
  pop,
  setA,
  setB,
  setCodes,
  topWord,
  underflow,
  unit,
  waiting,
  type X87,
} from "./x87-unit.js";

/** x87 comparison and classification. SDM vol. 1, 8.3.6; vol. 2, tables of FCOM, FCOMI and FXAM. */

const CODES = FSW_C0 | FSW_C2 | FSW_C3;

const RELATION_CODES: ReadonlyMap<Relation, number> = new Map([
  [Relation.Greater, 0],
  [Relation.Less, FSW_C0],
  [Relation.Equal, FSW_C3],
  [Relation.Unordered, CODES],
]);

const RELATION_FLAGS: ReadonlyMap<Relation, number> = new Map([
  [Relation.Greater, 0],
  [Relation.Less, S.CF],
  [Relation.Equal, S.ZF],
  [Relation.Unordered, S.ZF | S.PF | S.CF],
]);

/** Where the result of a comparison goes. */
type Report = (vcpu: VcpuContext, relation: Relation) => void;

const toCodes: Report = (vcpu, relation) => setCodes(vcpu, CODES | FSW_C1, RELATION_CODES.get(relation) as number);
/** FCOMI and its kin leave C1 alone. */
const toFlags: Report = (vcpu, relation) => {
  vcpu.rflags = (vcpu.rflags & ~S.ARITH) | (RELATION_FLAGS.get(relation) as number);
};

/**
 * Compares the unit's operands, of which `missing` says that one was not there. The result is reported in any case; an unmasked exception
 * keeps the registers on the stack (recorded from hardware).
 */
function finish(vcpu: VcpuContext, missing: boolean, signaling: boolean, report: Report, pops: number): number {
  let relation = Relation.Unordered;
  let delivered: boolean;
  if (missing) {
    delivered = underflow(vcpu);
  } else {
    relation = unit.compare(signaling);
    noteKeepingC1(vcpu, unit.flags);
    delivered = unit.written();
  }
  report(vcpu, relation);
  for (let k = 0; delivered && k < pops; k++) pop(vcpu);
  return NEXT;
}

/** ST(0) with a register (ST(1) if none is named) or memory. */
const compare =
  (signaling: boolean, report: Report, pops: number, integer = false): X87 =>
  (vcpu, insn) => {
    let missing = empty(vcpu, 0);
    if (insn.nops > 0 && insn.operands[0].kind === Kind.Mem) {
      if (!loadB(vcpu, insn, integer)) return FAULT;
    } else {
      const other = insn.nops > 1 ? insn.operands[1].reg : 1;
      missing ||= empty(vcpu, other);
      setB(vcpu, other);
    }
    setA(vcpu, 0);
    return finish(vcpu, missing, signaling, report, pops);
  };

const ftst: X87 = (vcpu) => {
  setA(vcpu, 0);
  unit.setB(0, 0, 0);
  return finish(vcpu, empty(vcpu, 0), true, toCodes, 0);
};

/** Class of ST(0) as C3, C2, C0. */
function classCodes(vcpu: VcpuContext): number {
  if (empty(vcpu, 0)) return FSW_C3 | FSW_C0;
  const exponent = topWord(vcpu, 0) & 0x7fff;
  const hi = highWord(vcpu, 0);
  const lo = lowWord(vcpu, 0);
  if (exponent === 0) return (hi | lo) === 0 ? FSW_C3 : FSW_C3 | FSW_C2;
  if (hi >= 0) return 0; // the integer bit is clear: unsupported
  if (exponent !== 0x7fff) return FSW_C2;
  return ((hi << 1) | lo) === 0 ? FSW_C2 | FSW_C0 : FSW_C0;
}

const fxam: X87 = (vcpu) => {
  setCodes(vcpu, CODES | FSW_C1, classCodes(vcpu) | (topWord(vcpu, 0) & 0x8000 ? FSW_C1 : 0));
  return NEXT;
};

const bodies: Readonly<Record<string, X87>> = {
  fcom: compare(true, toCodes, 0),
  fcomp: compare(true, toCodes, 1),
  fcompp: compare(true, toCodes, 2),
  ficom: compare(true, toCodes, 0, true),
  ficomp: compare(true, toCodes, 1, true),
  fucom: compare(false, toCodes, 0),
  fucomp: compare(false, toCodes, 1),
  fucompp: compare(false, toCodes, 2),
  fcomi: compare(true, toFlags, 0),
  fcomip: compare(true, toFlags, 1),
  fucomi: compare(false, toFlags, 0),
  fucomip: compare(false, toFlags, 1),
  ftst,
  fxam,
};

export const X87_COMPARISONS: Readonly<Record<string, Helper>> = Object.fromEntries(
  Object.entries(bodies).map(([name, body]) => [name, waiting(body)]),
);
