import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper, HelperSite } from "../../context/helper.js";
import { effectiveAddress, readOperand, writeOperand } from "../../memory/operands.js";
import { touch } from "../../memory/touch.js";
import { canonical } from "../../registers/canonical.js";
import { CR0_EM, CR0_TS, CR4_OSFXSR, Vector } from "../../registers/constants.js";
import type { Halves } from "../../registers/halves.js";
import { done, FAULT, NEXT } from "../common.js";
import { fcwOf, summarize } from "../x87/x87-unit.js";
import { area, type StateArea } from "./state-area.js";

/** FXSAVE and the legacy region of the XSAVE area: SDM vol. 1, 10.5 and 13.4.1. */

const address: Halves = { lo: 0, hi: 0 };
const value: Halves = { lo: 0, hi: 0 };

/** MXCSR bits that exist (FXSAVE's MXCSR_MASK): DAZ is supported. */
export const MXCSR_MASK = 0xffff;
export const MXCSR_INITIAL = 0x1f80;
const FCW_INITIAL = 0x37f;
/** Bytes of the area. */
const AREA = 512;
const X87_REGISTERS = 32;
export const XMM_REGISTERS = 160;

const xmms = (vcpu: VcpuContext): number => (vcpu.mode === 64 ? 16 : 8);

/** Anything of the x87 state differs from what FNINIT leaves, registers included. */
export function x87InUse(vcpu: VcpuContext): boolean {
  if (vcpu.u16(S.FCW) !== FCW_INITIAL || vcpu.u16(S.FSW) !== 0 || vcpu.u8(S.FTW) !== 0) return true;
  for (let at = 0; at < 128; at += 4) if (vcpu.i32(S.FPR + at) !== 0) return true;
  return false;
}

/** An XMM register that the current mode can see is not zero. */
export function xmmsInUse(vcpu: VcpuContext): boolean {
  for (let at = 0; at < 16 * xmms(vcpu); at += 4) if (vcpu.i32(S.XMM + at) !== 0) return true;
  return false;
}

/** Slot of ST(`k`), as FSW in force has the top of the stack. */
const stackSlot = (vcpu: VcpuContext, k: number): number => S.FPR + 16 * (((vcpu.u16(S.FSW) >> 11) + k) & 7);

/** Writes control, status, tags and registers to bytes 0-23 and 32-159. Registers are stored from the top of the stack. */
export function storeX87(vcpu: VcpuContext, to: StateArea): void {
  to.setI32(0, vcpu.u16(S.FCW) | (vcpu.u16(S.FSW) << 16));
  to.setI32(4, vcpu.u8(S.FTW));
  for (let at = 8; at < 24; at += 4) to.setI32(at, 0);
  for (let k = 0; k < 8; k++) {
    const at = X87_REGISTERS + 16 * k;
    const slot = stackSlot(vcpu, k);
    to.setI32(at, vcpu.i32(slot));
    to.setI32(at + 4, vcpu.i32(slot + 4));
    to.setI32(at + 8, vcpu.u16(slot + 8));
    to.setI32(at + 12, 0);
  }
}

/** Writes the XMM registers of the current mode; MXCSR is not among them. */
export function storeSse(vcpu: VcpuContext, to: StateArea, count = xmms(vcpu)): void {
  to.store(vcpu, XMM_REGISTERS, S.XMM, 16 * count);
}

/** Where the state of a component comes from. */
export type Source = "keep" | "initialize" | "load";

export function loadX87(vcpu: VcpuContext, from: StateArea, source: Source): void {
  if (source === "load") {
    vcpu.setU16(S.FCW, fcwOf(from.i32(0)));
    vcpu.setU16(S.FSW, from.i32(0) >>> 16);
    vcpu.setU8(S.FTW, from.i32(4));
    summarize(vcpu);
    for (let k = 0; k < 8; k++) {
      const at = X87_REGISTERS + 16 * k;
      const slot = stackSlot(vcpu, k);
      vcpu.setI32(slot, from.i32(at));
      vcpu.setI32(slot + 4, from.i32(at + 4));
      vcpu.setU16(slot + 8, from.i32(at + 8));
    }
  } else if (source === "initialize") {
    vcpu.setU16(S.FCW, FCW_INITIAL);
    vcpu.setU16(S.FSW, 0);
    vcpu.setU8(S.FTW, 0);
    for (let at = 0; at < 128; at += 4) vcpu.setI32(S.FPR + at, 0);
  }
}

/** Loads or initializes the XMM registers of the current mode; MXCSR is the caller's. */
export function loadSse(vcpu: VcpuContext, from: StateArea, source: Source, count = xmms(vcpu)): void {
  if (source === "load") from.load(vcpu, XMM_REGISTERS, S.XMM, 16 * count);
  else if (source === "initialize") vcpu.memory.fill(0, vcpu.base + S.XMM, vcpu.base + S.XMM + 16 * count);
}

/** #NM while the FPU belongs to another task or is emulated (SDM vol. 3, table 2-2). */
function available(vcpu: VcpuContext): boolean {
  return vcpu.cr0 & (CR0_TS | CR0_EM) ? vcpu.raise(Vector.NM) : true;
}

/**
 * #GP(0) for an area that is not a multiple of `alignment`; an address that is not canonical, and where alignment is checked one that is
 * not a multiple of 4, is found first (recorded from hardware).
 */
function checkArea(vcpu: VcpuContext, { lo, hi }: Readonly<Halves>, alignment: 16 | 64): boolean {
  if (vcpu.mode === 64 && !canonical(vcpu, hi)) {
    vcpu.raiseNonCanonical();
    return false;
  }
  if (!vcpu.linear.aligned(lo, hi, 4)) return false;
  return (lo & (alignment - 1)) === 0 || vcpu.raiseError(Vector.GP, 0);
}

/**
 * Address of an area of `size` bytes. That its first bytes are within the segment is checked before its alignment, that all of it is
 * afterwards (recorded from hardware).
 */
export function areaAddress(
  vcpu: VcpuContext,
  { insn }: HelperSite,
  out: Halves,
  size: number,
  alignment: 16 | 64,
  write: boolean,
): boolean {
  if (!effectiveAddress(vcpu, insn, out, 4, write) || !checkArea(vcpu, out, alignment)) return false;
  return vcpu.mode === 64 || effectiveAddress(vcpu, insn, out, size, write);
}

function areaAt(vcpu: VcpuContext, site: HelperSite, write: boolean): boolean {
  return available(vcpu) && areaAddress(vcpu, site, address, AREA, 16, write);
}

const fxsave: Helper = (vcpu, site) => {
  if (!areaAt(vcpu, site, true) || !touch(vcpu, address, AREA - 1, true)) return FAULT;
  // Bytes 464-511 are the operating system's.
  const size = XMM_REGISTERS + 16 * xmms(vcpu);
  if (!area.forWrite(vcpu, address, size)) return FAULT;
  storeX87(vcpu, area);
  area.setI32(24, vcpu.i32(S.MXCSR));
  area.setI32(28, MXCSR_MASK);
  storeSse(vcpu, area);
  return done(area.commit(vcpu, address, size));
};

const fxrstor: Helper = (vcpu, site) => {
  if (!areaAt(vcpu, site, false) || !touch(vcpu, address, AREA - 1, false)) return FAULT;
  if (!area.forRead(vcpu, address, AREA)) return FAULT;
  const mxcsr = area.i32(24);
  if (mxcsr & ~MXCSR_MASK) return done(vcpu.raiseError(Vector.GP, 0));
  loadX87(vcpu, area, "load");
  loadSse(vcpu, area, "load");
  vcpu.setI32(S.MXCSR, mxcsr);
  return NEXT;
};

/** #UD or #NM where SSE cannot be used (SDM vol. 3, table 13-1). */
function sseAvailable(vcpu: VcpuContext): boolean {
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

export const FXSAVE_HELPERS: Readonly<Record<string, Helper>> = {
  fxsave,
  fxrstor,
  ldmxcsr,
  stmxcsr,
};
