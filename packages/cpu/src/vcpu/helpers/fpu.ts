import * as S from "../../state.js";
import { CR0_EM, CR0_TS, CR4_OSFXSR, Vector } from "../constants.js";
import { effectiveAddress, type Halves, readOperand, writeOperand } from "../operands.js";
import type { Helper, Vcpu } from "../vcpu.js";
import { done, FAULT, NEXT } from "./common.js";
import { summarize } from "./x87-unit.js";

const address: Halves = { lo: 0, hi: 0 };

/** MXCSR bits that exist (FXSAVE's MXCSR_MASK): DAZ is supported. */
export const MXCSR_MASK = 0xffff;

/** #NM while the FPU belongs to another task or is emulated (SDM vol. 3, table 2-2). */
function available(vcpu: Vcpu): boolean {
  return vcpu.cr0 & (CR0_TS | CR0_EM) ? vcpu.raise(Vector.NM) : true;
}

const value: Halves = { lo: 0, hi: 0 };

/** The 512-byte area of FXSAVE in 64-bit format (SDM vol. 1, table 10-2). x87 registers are stored from the top of the stack. */
const fxsave: Helper = (vcpu, { insn }) => {
  if (!available(vcpu)) return FAULT;
  effectiveAddress(vcpu, insn, address);
  if (address.lo & 15) return done(vcpu.raiseError(Vector.GP, 0));
  const area = new Uint8Array(512);
  const view = new DataView(area.buffer);
  view.setUint16(0, vcpu.u16(S.FCW), true);
  view.setUint16(2, vcpu.u16(S.FSW), true);
  area[4] = vcpu.u8(S.FTW);
  view.setInt32(24, vcpu.i32(S.MXCSR), true);
  view.setInt32(28, MXCSR_MASK, true);
  const top = (vcpu.u16(S.FSW) >> 11) & 7;
  for (let k = 0; k < 8; k++) area.set(vcpu.bytes(S.FPR + 16 * ((top + k) & 7), 10), 32 + 16 * k);
  const xmms = vcpu.mode === 64 ? 16 : 8;
  area.set(vcpu.bytes(S.XMM, 16 * xmms), 160);
  // Bytes 464-511 are the operating system's.
  return done(vcpu.linear.writeBytes(address.lo, address.hi, area.subarray(0, xmms === 16 ? 416 : 288)));
};

const fxrstor: Helper = (vcpu, { insn }) => {
  if (!available(vcpu)) return FAULT;
  effectiveAddress(vcpu, insn, address);
  if (address.lo & 15) return done(vcpu.raiseError(Vector.GP, 0));
  const area = new Uint8Array(416);
  if (!vcpu.linear.readBytes(address.lo, address.hi, area)) return FAULT;
  const view = new DataView(area.buffer);
  const mxcsr = view.getInt32(24, true);
  if (mxcsr & ~MXCSR_MASK) return done(vcpu.raiseError(Vector.GP, 0));
  vcpu.setU16(S.FCW, (view.getUint16(0, true) & 0x1f7f) | 0x40);
  vcpu.setU16(S.FSW, view.getUint16(2, true));
  summarize(vcpu);
  vcpu.setU8(S.FTW, area[4] as number);
  vcpu.setI32(S.MXCSR, mxcsr);
  const top = (vcpu.u16(S.FSW) >> 11) & 7;
  for (let k = 0; k < 8; k++) vcpu.bytes(S.FPR + 16 * ((top + k) & 7), 10).set(area.subarray(32 + 16 * k, 42 + 16 * k));
  const xmms = vcpu.mode === 64 ? 16 : 8;
  vcpu.bytes(S.XMM, 16 * xmms).set(area.subarray(160, 160 + 16 * xmms));
  return NEXT;
};

/** #UD or #NM where SSE cannot be used (SDM vol. 3, table 13-1). */
function sseAvailable(vcpu: Vcpu): boolean {
  if (vcpu.cr0 & CR0_EM || !(vcpu.cr4 & CR4_OSFXSR)) return vcpu.raise(Vector.UD);
  return vcpu.cr0 & CR0_TS ? vcpu.raise(Vector.NM) : true;
}

const stmxcsr: Helper = (vcpu, { insn }) =>
  sseAvailable(vcpu) ? done(writeOperand(vcpu, insn, 0, vcpu.i32(S.MXCSR), 0)) : FAULT;

const ldmxcsr: Helper = (vcpu, { insn }) => {
  if (!sseAvailable(vcpu) || !readOperand(vcpu, insn, 0, value)) return FAULT;
  if (value.lo & ~MXCSR_MASK) return done(vcpu.raiseError(Vector.GP, 0));
  vcpu.setI32(S.MXCSR, value.lo);
  return NEXT;
};

export const FPU_HELPERS: Readonly<Record<string, Helper>> = {
  fxsave,
  fxrstor,
  ldmxcsr,
  stmxcsr,
};
