import type { Insn } from "../../../decode/index.js";
import { Flag, Transcendental80 } from "../../../softfloat/index.js";
import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import { CR0_EM, CR0_NE, CR0_TS, Vector } from "../../registers/constants.js";
import { FAULT } from "../common.js";

/**
 * The x87 unit as its instructions see it: availability, the register stack, the status word. SDM vol. 1, chapter 8.
 * The registers, FCW, FSW and FTW are those of the state block, which MMX instructions use too.
 */

/** Status word (SDM vol. 1, 8.1.3). */
export const FSW_SF = 0x40;
export const FSW_C0 = 0x100;
export const FSW_C1 = 0x200;
export const FSW_C2 = 0x400;
export const FSW_C3 = 0x4000;
const FSW_TOP = 0x3800;
/** ES, and B that mirrors it. */
const FSW_SUMMARY = 0x8080;
const EXCEPTIONS = 0x3f;

/** The arithmetic; `begin` gives it the control word, results are taken from it at once. */
export const unit = new Transcendental80();

/** Executes an x87 instruction. False: an exception is pending and nothing has changed. */
export type X87 = (vcpu: VcpuContext, insn: Insn) => number;

/** An unmasked exception has been noted and is not yet handled. */
export const exceptionPending = (vcpu: VcpuContext): boolean => (vcpu.u16(S.FSW) & ~vcpu.u16(S.FCW) & EXCEPTIONS) !== 0;

/** An instruction that does not look for pending exceptions: the FN... ones. #NM per SDM vol. 3, table 2-2. */
export const nonWaiting =
  (body: X87): Helper =>
  (vcpu, { insn }) => {
    if (vcpu.cr0 & (CR0_TS | CR0_EM)) {
      vcpu.raise(Vector.NM);
      return FAULT;
    }
    return body(vcpu, insn);
  };

/**
 * An instruction that raises #MF first for what an earlier one noted. With CR0.NE = 0 the processor would signal FERR# to a PC-style
 * interrupt controller instead, which does not exist here: nothing happens.
 */
export const waiting = (body: X87): Helper =>
  nonWaiting((vcpu, insn) => {
    if (vcpu.cr0 & CR0_NE && exceptionPending(vcpu)) {
      vcpu.raise(Vector.MF);
      return FAULT;
    }
    unit.setControl(vcpu.u16(S.FCW));
    return body(vcpu, insn);
  });

// The register stack

/** Physical number of ST(i). */
export const physical = (vcpu: VcpuContext, i: number): number => ((vcpu.u16(S.FSW) >> 11) + i) & 7;
/** Slot of ST(i) in the state block. */
const slot = (vcpu: VcpuContext, i: number): number => S.FPR + 16 * physical(vcpu, i);

/** ST(i) holds nothing. */
export const empty = (vcpu: VcpuContext, i: number): boolean => (vcpu.u8(S.FTW) & (1 << physical(vcpu, i))) === 0;

/** ST(i) becomes the first operand. */
export function setA(vcpu: VcpuContext, i: number): void {
  const at = slot(vcpu, i);
  unit.setA(vcpu.i32(at), vcpu.i32(at + 4), vcpu.u16(at + 8));
}

/** ST(i) becomes the second operand. */
export function setB(vcpu: VcpuContext, i: number): void {
  const at = slot(vcpu, i);
  unit.setB(vcpu.i32(at), vcpu.i32(at + 4), vcpu.u16(at + 8));
}

/** Sign and exponent, high and low half of the significand of ST(i). */
export const topWord = (vcpu: VcpuContext, i: number): number => vcpu.u16(slot(vcpu, i) + 8);
export const highWord = (vcpu: VcpuContext, i: number): number => vcpu.i32(slot(vcpu, i) + 4);
export const lowWord = (vcpu: VcpuContext, i: number): number => vcpu.i32(slot(vcpu, i));

/** Writes an f80 to ST(i), which becomes valid. */
export function put(vcpu: VcpuContext, i: number, lo: number, hi: number, se: number): void {
  const at = slot(vcpu, i);
  vcpu.setI32(at, lo);
  vcpu.setI32(at + 4, hi);
  vcpu.setU16(at + 8, se);
  vcpu.setU8(S.FTW, vcpu.u8(S.FTW) | (1 << physical(vcpu, i)));
}

/** The unit's result goes to ST(i). */
export const putResult = (vcpu: VcpuContext, i: number): void => put(vcpu, i, unit.lo, unit.hi, unit.se);

/** The default NaN goes to ST(i). */
export const putIndefinite = (vcpu: VcpuContext, i: number): void => put(vcpu, i, 0, 0xc0000000, 0xffff);

export function free(vcpu: VcpuContext, i: number): void {
  vcpu.setU8(S.FTW, vcpu.u8(S.FTW) & ~(1 << physical(vcpu, i)));
}

/** Moves the top of the stack: 1 down by a pop, -1 by a push. Tags stay. */
export function rotate(vcpu: VcpuContext, by: number): void {
  const fsw = vcpu.u16(S.FSW);
  vcpu.setU16(S.FSW, (fsw & ~FSW_TOP) | ((fsw + (by << 11)) & FSW_TOP));
}

export function pop(vcpu: VcpuContext): void {
  free(vcpu, 0);
  rotate(vcpu, 1);
}

// The status word

/** Notes exceptions, and C1 with them. An unmasked one sets ES and B. */
export function note(vcpu: VcpuContext, flags: number, c1: boolean): void {
  vcpu.setU16(S.FSW, (vcpu.u16(S.FSW) & ~FSW_C1) | flags | (c1 ? FSW_C1 : 0));
  summarize(vcpu);
}

/** Notes exceptions. */
export const noteKeepingC1 = (vcpu: VcpuContext, flags: number): void =>
  note(vcpu, flags, (vcpu.u16(S.FSW) & FSW_C1) !== 0);

/** Notes what the unit's last operation raised. @returns whether it delivers its result */
export function noteOperation(vcpu: VcpuContext): boolean {
  note(vcpu, unit.flags, unit.c1);
  return unit.written();
}

/** `fsw` with ES and B as the exceptions and their masks have them. */
export const summarized = (fsw: number, fcw: number): number =>
  fsw & ~fcw & EXCEPTIONS ? fsw | FSW_SUMMARY : fsw & ~FSW_SUMMARY;

/** Brings ES and B in line with the exceptions and their masks. */
export function summarize(vcpu: VcpuContext): void {
  vcpu.setU16(S.FSW, summarized(vcpu.u16(S.FSW), vcpu.u16(S.FCW)));
}

/** A control word as it is kept: bit 6 reads as one, bits 7 and 13-15 as zero. */
export const fcwOf = (value: number): number => (value & 0x1f7f) | 0x40;

/** Replaces condition codes `mask` by `codes`. */
export function setCodes(vcpu: VcpuContext, mask: number, codes: number): void {
  vcpu.setU16(S.FSW, (vcpu.u16(S.FSW) & ~mask) | codes);
}

const invalidMasked = (vcpu: VcpuContext): boolean => (vcpu.u16(S.FCW) & Flag.I) !== 0;

/** An empty register was to be read. @returns whether the masked response (a default NaN as the result) is to be given */
export function underflow(vcpu: VcpuContext): boolean {
  note(vcpu, Flag.I | FSW_SF, false);
  return invalidMasked(vcpu);
}

/** A value was to be pushed onto a register in use. @returns as `underflow` */
export function overflow(vcpu: VcpuContext): boolean {
  note(vcpu, Flag.I | FSW_SF, true);
  return invalidMasked(vcpu);
}
