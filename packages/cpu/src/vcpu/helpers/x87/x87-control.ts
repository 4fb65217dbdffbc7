import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import { readOperand, writeOperand } from "../../memory/operands.js";
import { CR0_MP, CR0_NE, CR0_TS, Vector } from "../../registers/constants.js";
import type { Halves } from "../../registers/halves.js";
import { done, FAULT, NEXT } from "../common.js";
import { readArea, writeArea } from "./x87-memory.js";
import {
  exceptionPending,
  fcwOf,
  highWord,
  lowWord,
  nonWaiting,
  physical,
  summarize,
  topWord,
  waiting,
  type X87,
} from "./x87-unit.js";

/** x87 control, environment and state. SDM vol. 1, 8.1.8 to 8.1.10 and 8.3.10. */

/** All exceptions masked, extended precision, round to nearest. */
const FCW_INITIAL = 0x37f;
const FCW_MASKS = 0x3f;
/** What FNCLEX leaves of the status word: condition codes and TOP. */
const FSW_KEPT = 0x7f00;
/** Bytes of a register in FNSAVE's area. */
const REGISTER = 10;

function setControl(vcpu: VcpuContext, value: number): void {
  vcpu.setU16(S.FCW, fcwOf(value));
  summarize(vcpu);
}

function initialize(vcpu: VcpuContext): void {
  vcpu.setU16(S.FCW, FCW_INITIAL);
  vcpu.setU16(S.FSW, 0);
  vcpu.setU8(S.FTW, 0);
}

const value: Halves = { lo: 0, hi: 0 };

const fldcw: X87 = (vcpu, insn) => {
  if (!readOperand(vcpu, insn, 0, value)) return FAULT;
  setControl(vcpu, value.lo);
  return NEXT;
};

const noOperation: X87 = () => NEXT;

/** FWAIT: #NM depends on CR0.MP, and CR0.EM does not matter (SDM vol. 3, table 2-2). */
const fwait: Helper = (vcpu) => {
  if ((vcpu.cr0 & (CR0_MP | CR0_TS)) === (CR0_MP | CR0_TS)) return done(vcpu.raise(Vector.NM));
  if (vcpu.cr0 & CR0_NE && exceptionPending(vcpu)) return done(vcpu.raise(Vector.MF));
  return NEXT;
};

/** The two bits of the full tag word: valid, zero, special, empty = 0 to 3. */
function tag(vcpu: VcpuContext, i: number): number {
  if (!(vcpu.u8(S.FTW) & (1 << physical(vcpu, i)))) return 3;
  const exponent = topWord(vcpu, i) & 0x7fff;
  const hi = highWord(vcpu, i);
  if (exponent === 0) return (hi | lowWord(vcpu, i)) === 0 ? 1 : 2;
  return exponent === 0x7fff || hi >= 0 ? 2 : 0;
}

/** The tag word, whose fields go by physical number. */
function tagWord(vcpu: VcpuContext): number {
  let word = 0;
  for (let i = 0; i < 8; i++) word |= tag(vcpu, i) << (2 * physical(vcpu, i));
  return word;
}

/**
 * The environment as 14 or 28 bytes: FCW, FSW, FTW in words or in doublewords whose upper halves are ones, then the instruction and data
 * pointers, which are not tracked and read as zero, and the data selector's upper half.
 */
function environment(vcpu: VcpuContext, area: Uint8Array, wide: boolean): void {
  const view = new DataView(area.buffer);
  [vcpu.u16(S.FCW), vcpu.u16(S.FSW), tagWord(vcpu)].forEach((word, k) => {
    if (wide) view.setUint32(4 * k, 0xffff0000 + word, true);
    else view.setUint16(2 * k, word, true);
  });
  if (wide) view.setUint32(24, 0xffff0000, true);
}

/** Loads what `environment` stores. */
function setEnvironment(vcpu: VcpuContext, area: Uint8Array, wide: boolean): void {
  const view = new DataView(area.buffer);
  const step = wide ? 4 : 2;
  const tags = view.getUint16(2 * step, true);
  let valid = 0;
  for (let k = 0; k < 8; k++) if (((tags >> (2 * k)) & 3) !== 3) valid |= 1 << k;
  vcpu.setU8(S.FTW, valid);
  vcpu.setU16(S.FSW, view.getUint16(step, true));
  setControl(vcpu, view.getUint16(0, true));
}

const fnstenv: X87 = (vcpu, insn) => {
  const { size } = insn.operands[0];
  const area = new Uint8Array(size);
  environment(vcpu, area, size === 28);
  if (!writeArea(vcpu, insn, area)) return FAULT;
  setControl(vcpu, vcpu.u16(S.FCW) | FCW_MASKS);
  return NEXT;
};

const fldenv: X87 = (vcpu, insn) => {
  const { size } = insn.operands[0];
  const area = new Uint8Array(size);
  if (!readArea(vcpu, insn, area)) return FAULT;
  setEnvironment(vcpu, area, size === 28);
  return NEXT;
};

/** Bytes of ST(i) in the state block. */
const register = (vcpu: VcpuContext, i: number): Uint8Array => vcpu.bytes(S.FPR + 16 * physical(vcpu, i), REGISTER);

const fnsave: X87 = (vcpu, insn) => {
  const { size } = insn.operands[0];
  const area = new Uint8Array(size);
  environment(vcpu, area, size === 108);
  for (let i = 0; i < 8; i++) area.set(register(vcpu, i), size - REGISTER * (8 - i));
  if (!writeArea(vcpu, insn, area)) return FAULT;
  initialize(vcpu);
  return NEXT;
};

const frstor: X87 = (vcpu, insn) => {
  const { size } = insn.operands[0];
  const area = new Uint8Array(size);
  if (!readArea(vcpu, insn, area)) return FAULT;
  setEnvironment(vcpu, area, size === 108);
  for (let i = 0; i < 8; i++) {
    const at = size - REGISTER * (8 - i);
    register(vcpu, i).set(area.subarray(at, at + REGISTER));
  }
  return NEXT;
};

const WITHOUT_WAITING: Readonly<Record<string, X87>> = {
  fninit: (vcpu) => {
    initialize(vcpu);
    return NEXT;
  },
  fnclex: (vcpu) => {
    vcpu.setU16(S.FSW, vcpu.u16(S.FSW) & FSW_KEPT);
    return NEXT;
  },
  fnstcw: (vcpu, insn) => done(writeOperand(vcpu, insn, 0, vcpu.u16(S.FCW), 0)),
  fnstsw: (vcpu, insn) => done(writeOperand(vcpu, insn, 0, vcpu.u16(S.FSW), 0)),
  fnstenv,
  fnsave,
  // Of the 8087 and the 80287.
  fneni: noOperation,
  fndisi: noOperation,
  fnsetpm: noOperation,
};

const WAITING: Readonly<Record<string, X87>> = { fldcw, fldenv, frstor, fnop: noOperation };

const entries = (bodies: Readonly<Record<string, X87>>, wrap: (body: X87) => Helper): [string, Helper][] =>
  Object.entries(bodies).map(([name, body]) => [name, wrap(body)]);

export const X87_CONTROL: Readonly<Record<string, Helper>> = {
  ...Object.fromEntries([...entries(WITHOUT_WAITING, nonWaiting), ...entries(WAITING, waiting)]),
  fwait,
};
