import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import { NEXT } from "../common.js";
import { missing, unary } from "./x87-arithmetic.js";
import {
  empty,
  FSW_C2,
  noteOperation,
  overflow,
  pop,
  put,
  putIndefinite,
  putResult,
  rotate,
  setA,
  setB,
  setCodes,
  underflow,
  unit,
  waiting,
  type X87,
} from "./x87-unit.js";

/** x87 transcendental functions, and FXTRACT, which like some of them has two results. SDM vol. 1, 8.3.7. */

/** `ST(1) = ST(1) op ST(0)`, popping: FPATAN, FYL2X, FYL2XP1. The unit's first operand is ST(0). */
const intoNext =
  (compute: () => void): X87 =>
  (vcpu) => {
    if (empty(vcpu, 0) || empty(vcpu, 1)) return missing(vcpu, 1, true);
    setA(vcpu, 0);
    setB(vcpu, 1);
    compute();
    if (noteOperation(vcpu)) {
      putResult(vcpu, 1);
      pop(vcpu);
    }
    return NEXT;
  };

/** The trigonometric functions say in C2 that their argument is too large for them; they do nothing then. */
const noteRange = (vcpu: VcpuContext): void => setCodes(vcpu, FSW_C2, unit.outOfRange ? FSW_C2 : 0);

/** `ST(0) = op ST(0)` for FSIN and FCOS. */
const trigonometric = (compute: () => void): X87 => {
  const body = unary(compute);
  return (vcpu, insn) => {
    unit.outOfRange = false;
    const result = body(vcpu, insn);
    noteRange(vcpu);
    return result;
  };
};

/** Room for and presence of what an instruction with two results needs; otherwise both become default NaNs, if #I is masked. */
function readyForTwo(vcpu: VcpuContext): boolean {
  const missingSource = empty(vcpu, 0);
  if (!missingSource && empty(vcpu, 7)) return true;
  if (missingSource ? underflow(vcpu) : overflow(vcpu)) {
    putIndefinite(vcpu, 0);
    rotate(vcpu, -1);
    putIndefinite(vcpu, 0);
  }
  return false;
}

/** FSINCOS and FPTAN: the first result replaces ST(0), the second is pushed. */
const trigonometricPair =
  (compute: () => void): X87 =>
  (vcpu) => {
    setCodes(vcpu, FSW_C2, 0);
    if (!readyForTwo(vcpu)) return NEXT;
    setA(vcpu, 0);
    compute();
    const delivered = noteOperation(vcpu);
    noteRange(vcpu);
    if (unit.outOfRange || !delivered) return NEXT;
    putResult(vcpu, 0);
    rotate(vcpu, -1);
    put(vcpu, 0, unit.secondLo, unit.secondHi, unit.secondSe);
    return NEXT;
  };

/** FXTRACT: the exponent replaces ST(0), the significand is pushed. */
const fxtract: X87 = (vcpu) => {
  if (!readyForTwo(vcpu)) return NEXT;
  setA(vcpu, 0);
  unit.extract();
  if (!noteOperation(vcpu)) return NEXT;
  put(vcpu, 0, unit.exponentLo, unit.exponentHi, unit.exponentSe);
  rotate(vcpu, -1);
  putResult(vcpu, 0);
  return NEXT;
};

const bodies: Readonly<Record<string, X87>> = {
  f2xm1: unary(() => unit.f2xm1()),
  fyl2x: intoNext(() => unit.fyl2x()),
  fyl2xp1: intoNext(() => unit.fyl2xp1()),
  fpatan: intoNext(() => unit.fpatan()),
  fsin: trigonometric(() => unit.fsin()),
  fcos: trigonometric(() => unit.fcos()),
  fsincos: trigonometricPair(() => unit.fsincos()),
  fptan: trigonometricPair(() => unit.fptan()),
  fxtract,
};

export const X87_FUNCTIONS: Readonly<Record<string, Helper>> = Object.fromEntries(
  Object.entries(bodies).map(([name, body]) => [name, waiting(body)]),
);
