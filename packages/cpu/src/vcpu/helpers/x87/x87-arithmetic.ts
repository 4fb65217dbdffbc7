import { Kind } from "../../../decode/index.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import { FAULT, NEXT } from "../common.js";
import { loadA, loadB } from "./x87-memory.js";
import {
  empty,
  FSW_C0,
  FSW_C2,
  FSW_C3,
  highWord,
  lowWord,
  note,
  noteOperation,
  pop,
  put,
  putIndefinite,
  putResult,
  setA,
  setB,
  setCodes,
  topWord,
  underflow,
  unit,
  waiting,
  type X87,
} from "./x87-unit.js";

/** x87 arithmetic. SDM vol. 1, 8.3.5; vol. 2 for each instruction. */

interface TwoOperands {
  readonly compute: () => void;
  /** The source is the first operand. */
  readonly reversed: boolean;
}

const TWO_OPERANDS: Readonly<Record<string, TwoOperands>> = {
  add: { compute: () => unit.add(), reversed: false },
  mul: { compute: () => unit.mul(), reversed: false },
  sub: { compute: () => unit.sub(), reversed: false },
  subr: { compute: () => unit.sub(), reversed: true },
  div: { compute: () => unit.div(), reversed: false },
  divr: { compute: () => unit.div(), reversed: true },
};

/** `destination = destination op source`: memory with ST(0), or two registers, of which one is ST(0). */
const binary =
  ({ compute, reversed }: TwoOperands, integer: boolean, pops: boolean): X87 =>
  (vcpu, insn) => {
    const [first, second] = insn.operands;
    let to = 0;
    if (first.kind === Kind.Mem) {
      if (!(reversed ? loadA : loadB)(vcpu, insn, integer)) return FAULT;
      if (empty(vcpu, 0)) return missing(vcpu, 0, pops);
      if (reversed) setB(vcpu, 0);
      else setA(vcpu, 0);
    } else {
      to = first.reg;
      if (empty(vcpu, to) || empty(vcpu, second.reg)) return missing(vcpu, to, pops);
      setA(vcpu, reversed ? second.reg : to);
      setB(vcpu, reversed ? to : second.reg);
    }
    compute();
    if (noteOperation(vcpu)) {
      putResult(vcpu, to);
      if (pops) pop(vcpu);
    }
    return NEXT;
  };

/** Stack underflow of an operation with its destination in ST(to). */
export function missing(vcpu: VcpuContext, to: number, pops = false): number {
  if (underflow(vcpu)) {
    putIndefinite(vcpu, to);
    if (pops) pop(vcpu);
  }
  return NEXT;
}

/** `ST(0) = op ST(0)`. */
export const unary =
  (compute: () => void): X87 =>
  (vcpu) => {
    if (empty(vcpu, 0)) return missing(vcpu, 0);
    setA(vcpu, 0);
    compute();
    if (noteOperation(vcpu)) putResult(vcpu, 0);
    return NEXT;
  };

/** `ST(0) = ST(0) op ST(1)`: FSCALE. */
const scale: X87 = (vcpu) => {
  if (empty(vcpu, 0) || empty(vcpu, 1)) return missing(vcpu, 0);
  setA(vcpu, 0);
  setB(vcpu, 1);
  unit.scale();
  if (noteOperation(vcpu)) putResult(vcpu, 0);
  return NEXT;
};

/** FPREM and FPREM1: the low bits of the quotient, or "not finished", go to the condition codes. Without a quotient C2 is cleared only. */
const remainder =
  (nearest: boolean): X87 =>
  (vcpu) => {
    setCodes(vcpu, FSW_C2, 0);
    if (empty(vcpu, 0) || empty(vcpu, 1)) return missing(vcpu, 0);
    setA(vcpu, 0);
    setB(vcpu, 1);
    unit.remainder(nearest);
    note(vcpu, unit.flags, false);
    if (unit.written()) {
      if (unit.hasQuotient) setCodes(vcpu, FSW_C0 | FSW_C2 | FSW_C3, unit.conditionCodes);
      putResult(vcpu, 0);
    }
    return NEXT;
  };

/** FABS and FCHS change the sign of anything, without exceptions. */
const sign =
  (change: (se: number) => number): X87 =>
  (vcpu) => {
    if (empty(vcpu, 0)) return missing(vcpu, 0);
    note(vcpu, 0, false);
    put(vcpu, 0, lowWord(vcpu, 0), highWord(vcpu, 0), change(topWord(vcpu, 0)));
    return NEXT;
  };

const families = Object.entries(TWO_OPERANDS).flatMap(([name, operation]): [string, X87][] => [
  [`f${name}`, binary(operation, false, false)],
  [`f${name}p`, binary(operation, false, true)],
  [`fi${name}`, binary(operation, true, false)],
]);

const others: Readonly<Record<string, X87>> = {
  fabs: sign((se) => se & 0x7fff),
  fchs: sign((se) => se ^ 0x8000),
  fsqrt: unary(() => unit.sqrt()),
  frndint: unary(() => unit.roundInt()),
  fscale: scale,
  fprem: remainder(false),
  fprem1: remainder(true),
};

export const X87_ARITHMETIC: Readonly<Record<string, Helper>> = Object.fromEntries(
  [...families, ...Object.entries(others)].map(([name, body]) => [name, waiting(body)]),
);
