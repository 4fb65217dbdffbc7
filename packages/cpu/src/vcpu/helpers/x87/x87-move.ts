import { type Insn, Kind } from "../../../decode/index.js";
import { Round } from "../../../softfloat/index.js";
import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import { writeOperand } from "../../memory/operands.js";
import { FAULT, NEXT } from "../common.js";
import { extended, loadA, read80, write80 } from "./x87-memory.js";
import {
  empty,
  free,
  highWord,
  lowWord,
  note,
  noteOperation,
  overflow,
  pop,
  put,
  putIndefinite,
  putResult,
  rotate,
  setA,
  topWord,
  underflow,
  unit,
  waiting,
  type X87,
} from "./x87-unit.js";

/** x87 data transfer. SDM vol. 1, 8.3.3 and 8.3.4; vol. 2 for each instruction. */

/** Moves the top of the stack down for a result; with the register there in use, the masked response is given instead. */
function push(vcpu: VcpuContext): boolean {
  if (empty(vcpu, 7)) {
    rotate(vcpu, -1);
    return true;
  }
  if (overflow(vcpu)) {
    rotate(vcpu, -1);
    putIndefinite(vcpu, 0);
  }
  return false;
}

function pushExtended(vcpu: VcpuContext, lo: number, hi: number, se: number): number {
  if (push(vcpu)) {
    note(vcpu, 0, false);
    put(vcpu, 0, lo, hi, se);
  }
  return NEXT;
}

/** FLD m32 and m64, FILD: converted. The operand's exceptions count only if there is room for it. */
const loadConverted =
  (integer: boolean): X87 =>
  (vcpu, insn) => {
    if (!loadA(vcpu, insn, integer)) return FAULT;
    if (!empty(vcpu, 7)) {
      push(vcpu);
      return NEXT;
    }
    unit.load();
    if (noteOperation(vcpu)) {
      rotate(vcpu, -1);
      putResult(vcpu, 0);
    }
    return NEXT;
  };

const loadReal = loadConverted(false);

const fld: X87 = (vcpu, insn) => {
  const { kind, reg, size } = insn.operands[0];
  if (kind === Kind.Mem) {
    if (size !== 10) return loadReal(vcpu, insn);
    if (!read80(vcpu, insn)) return FAULT;
    return pushExtended(vcpu, extended.lo, extended.hi, extended.se);
  }
  if (empty(vcpu, reg)) {
    if (underflow(vcpu)) {
      rotate(vcpu, -1);
      putIndefinite(vcpu, 0);
    }
    return NEXT;
  }
  return pushExtended(vcpu, lowWord(vcpu, reg), highWord(vcpu, reg), topWord(vcpu, reg));
};

const fbld: X87 = (vcpu, insn) => {
  if (!read80(vcpu, insn)) return FAULT;
  unit.setABcd(extended.lo, extended.hi, extended.se);
  unit.load();
  return pushExtended(vcpu, unit.lo, unit.hi, unit.se);
};

/** FST and FSTP to a register: a copy, without a look at the value. */
function copyTo(vcpu: VcpuContext, to: number, pops: boolean): number {
  if (empty(vcpu, 0)) {
    if (!underflow(vcpu)) return NEXT;
    putIndefinite(vcpu, to);
  } else {
    note(vcpu, 0, false);
    put(vcpu, to, lowWord(vcpu, 0), highWord(vcpu, 0), topWord(vcpu, 0));
  }
  if (pops) pop(vcpu);
  return NEXT;
}

/** D9 D8+i: FSTP that does not mind an empty ST(0), but only pops then (recorded from hardware). */
const fstpnce: X87 = (vcpu, insn) => {
  if (!empty(vcpu, 0)) return copyTo(vcpu, insn.operands[0].reg, true);
  note(vcpu, 0, false);
  pop(vcpu);
  return NEXT;
};

/** Puts what a store writes into the unit's `lo`, `hi`, `se`. */
type Conversion = (size: number) => void;

const toReal: Conversion = (size) => (size === 4 ? unit.toF32() : unit.toF64());
const toInteger: Conversion = (size) => unit.toInt((8 * size) as 16 | 32 | 64);
const toTruncated: Conversion = (size) => unit.toInt((8 * size) as 16 | 32 | 64, Round.Zero);
const toBcd: Conversion = () => unit.toBcd();

/** The default NaN, or the integer indefinite, is what converting the default NaN gives. */
function convertIndefinite(conversion: Conversion, size: number): void {
  unit.setA(0, 0xc0000000, 0xffff);
  conversion(size);
}

/** A store to memory with conversion. The memory is written before the status is, as it may fault. */
const store =
  (conversion: Conversion, pops: boolean): X87 =>
  (vcpu, insn) => {
    const { size } = insn.operands[0];
    const missing = empty(vcpu, 0);
    const before = vcpu.u16(S.FSW);
    let delivered: boolean;
    if (missing) {
      delivered = underflow(vcpu);
      convertIndefinite(conversion, size);
    } else {
      setA(vcpu, 0);
      conversion(size);
      delivered = noteOperation(vcpu);
    }
    if (!delivered) return NEXT;
    const done =
      size === 10 ? write80(vcpu, insn, unit.lo, unit.hi, unit.se) : writeOperand(vcpu, insn, 0, unit.lo, unit.hi);
    if (!done) {
      vcpu.setU16(S.FSW, before);
      return FAULT;
    }
    if (pops) pop(vcpu);
    return NEXT;
  };

/** FSTP m80: the bits of ST(0). */
function storeExtended(vcpu: VcpuContext, insn: Insn): number {
  const before = vcpu.u16(S.FSW);
  let done: boolean;
  if (empty(vcpu, 0)) {
    if (!underflow(vcpu)) return NEXT;
    done = write80(vcpu, insn, 0, 0xc0000000, 0xffff);
  } else {
    note(vcpu, 0, false);
    done = write80(vcpu, insn, lowWord(vcpu, 0), highWord(vcpu, 0), topWord(vcpu, 0));
  }
  if (!done) {
    vcpu.setU16(S.FSW, before);
    return FAULT;
  }
  pop(vcpu);
  return NEXT;
}

const storeReal = (pops: boolean): X87 => {
  const convert = store(toReal, pops);
  return (vcpu, insn) => {
    const { kind, reg, size } = insn.operands[0];
    if (kind !== Kind.Mem) return copyTo(vcpu, reg, pops);
    return size === 10 ? storeExtended(vcpu, insn) : convert(vcpu, insn);
  };
};

const fxch: X87 = (vcpu, insn) => {
  const { reg } = insn.operands[1];
  if (empty(vcpu, 0) || empty(vcpu, reg)) {
    if (!underflow(vcpu)) return NEXT;
    for (const i of [0, reg]) if (empty(vcpu, i)) putIndefinite(vcpu, i);
  } else {
    note(vcpu, 0, false);
  }
  const [lo, hi, se] = [lowWord(vcpu, 0), highWord(vcpu, 0), topWord(vcpu, 0)];
  put(vcpu, 0, lowWord(vcpu, reg), highWord(vcpu, reg), topWord(vcpu, reg));
  put(vcpu, reg, lo, hi, se);
  return NEXT;
};

const { CF, PF, ZF } = S;
/** FCMOVcc: RFLAGS bits of which one must be set, or, with `n`, none. */
const CONDITIONS: Readonly<Record<string, number>> = { b: CF, e: ZF, be: CF | ZF, u: PF };

const conditional =
  (mask: number, wanted: boolean): X87 =>
  (vcpu, insn) => {
    const { reg } = insn.operands[1];
    if (empty(vcpu, 0) || empty(vcpu, reg)) {
      if (underflow(vcpu)) putIndefinite(vcpu, 0);
      return NEXT;
    }
    if (((vcpu.rflags & mask) !== 0) === wanted)
      put(vcpu, 0, lowWord(vcpu, reg), highWord(vcpu, reg), topWord(vcpu, reg));
    return NEXT;
  };

const moves = Object.entries(CONDITIONS).flatMap(([name, mask]): [string, X87][] => [
  [`fcmov${name}`, conditional(mask, true)],
  [`fcmovn${name}`, conditional(mask, false)],
]);

/** Constants, rounded as the rounding control says (SDM vol. 2, FLD1...): the first 64 bits and whether what follows is above one half. */
interface Constant {
  readonly hi: number;
  readonly lo: number;
  readonly se: number;
  readonly rest: "none" | "below" | "above";
}

const CONSTANTS: Readonly<Record<string, Constant>> = {
  fld1: { hi: 0x80000000, lo: 0, se: 0x3fff, rest: "none" },
  fldz: { hi: 0, lo: 0, se: 0, rest: "none" },
  fldl2t: { hi: 0xd49a784b, lo: 0xcd1b8afe, se: 0x4000, rest: "below" },
  fldl2e: { hi: 0xb8aa3b29, lo: 0x5c17f0bb, se: 0x3fff, rest: "above" },
  fldpi: { hi: 0xc90fdaa2, lo: 0x2168c234, se: 0x4000, rest: "above" },
  fldlg2: { hi: 0x9a209a84, lo: 0xfbcff798, se: 0x3ffd, rest: "above" },
  fldln2: { hi: 0xb17217f7, lo: 0xd1cf79ab, se: 0x3ffe, rest: "above" },
};

const constant =
  ({ hi, lo, se, rest }: Constant): X87 =>
  (vcpu) => {
    const up = rest !== "none" && (unit.rc === Round.Up || (unit.rc === Round.Nearest && rest === "above"));
    return pushExtended(vcpu, lo + (up ? 1 : 0), hi, se);
  };

const constants = Object.entries(CONSTANTS).map(([name, value]): [string, X87] => [name, constant(value)]);

const others: Readonly<Record<string, X87>> = {
  fld,
  fild: loadConverted(true),
  fbld,
  fst: storeReal(false),
  fstp: storeReal(true),
  fstpnce,
  fist: store(toInteger, false),
  fistp: store(toInteger, true),
  fisttp: store(toTruncated, true),
  fbstp: store(toBcd, true),
  fxch,
  ffree: (vcpu, insn) => {
    note(vcpu, 0, false);
    free(vcpu, insn.operands[0].reg);
    return NEXT;
  },
  ffreep: (vcpu, insn) => {
    note(vcpu, 0, false);
    free(vcpu, insn.operands[0].reg);
    pop(vcpu);
    return NEXT;
  },
  fincstp: (vcpu) => {
    note(vcpu, 0, false);
    rotate(vcpu, 1);
    return NEXT;
  },
  fdecstp: (vcpu) => {
    note(vcpu, 0, false);
    rotate(vcpu, -1);
    return NEXT;
  },
};

export const X87_MOVES: Readonly<Record<string, Helper>> = Object.fromEntries(
  [...moves, ...constants, ...Object.entries(others)].map(([name, body]) => [name, waiting(body)]),
);
