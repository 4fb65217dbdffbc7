import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper, HelperSite } from "../../context/helper.js";
import { effectiveAddress, readOperand, writeOperand } from "../../memory/operands.js";
import { touch } from "../../memory/touch.js";
import { canonical } from "../../registers/canonical.js";
import { CR0_EM, CR0_TS, CR4_OSFXSR, Vector } from "../../registers/constants.js";
import type { Halves } from "../../registers/halves.js";
import { done, FAULT, NEXT } from "../common.js";
import { summarize } from "../x87/x87-unit.js";

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
  return vcpu.bytes(S.FPR, 128).some((byte) => byte !== 0);
}

/** An XMM register that the current mode can see is not zero. */
export function xmmsInUse(vcpu: VcpuContext): boolean {
  for (let at = 0; at < 16 * xmms(vcpu); at += 4) if (vcpu.i32(S.XMM + at) !== 0) return true;
  return false;
}

/** Writes control, status, tags and registers to bytes 0-23 and 32-159. Registers are stored from the top of the stack. */
export function storeX87(vcpu: VcpuContext, area: Uint8Array): void {
  const view = new DataView(area.buffer);
  area.fill(0, 0, 24);
  view.setUint16(0, vcpu.u16(S.FCW), true);
  view.setUint16(2, vcpu.u16(S.FSW), true);
  area[4] = vcpu.u8(S.FTW);
  const top = (vcpu.u16(S.FSW) >> 11) & 7;
  for (let k = 0; k < 8; k++) {
    const at = X87_REGISTERS + 16 * k;
    area.set(vcpu.bytes(S.FPR + 16 * ((top + k) & 7), 10), at);
    area.fill(0, at + 10, at + 16);
  }
}

/** Writes the XMM registers of the current mode; MXCSR is not among them. */
export function storeSse(vcpu: VcpuContext, area: Uint8Array): void {
  area.set(vcpu.bytes(S.XMM, 16 * xmms(vcpu)), XMM_REGISTERS);
}

/** Where the state of a component comes from. */
export type Source = "keep" | "initialize" | "load";

/** Loads or initializes the components of the legacy region; MXCSR is the caller's. */
export function loadLegacy(
  vcpu: VcpuContext,
  area: Uint8Array,
  { x87, sse }: { readonly x87: Source; readonly sse: Source },
): void {
  const view = new DataView(area.buffer);
  if (x87 === "load") {
    vcpu.setU16(S.FCW, (view.getUint16(0, true) & 0x1f7f) | 0x40);
    vcpu.setU16(S.FSW, view.getUint16(2, true));
    vcpu.setU8(S.FTW, area[4] as number);
    summarize(vcpu);
    const top = (vcpu.u16(S.FSW) >> 11) & 7;
    for (let k = 0; k < 8; k++) {
      const at = X87_REGISTERS + 16 * k;
      vcpu.bytes(S.FPR + 16 * ((top + k) & 7), 10).set(area.subarray(at, at + 10));
    }
  } else if (x87 === "initialize") {
    vcpu.setU16(S.FCW, FCW_INITIAL);
    vcpu.setU16(S.FSW, 0);
    vcpu.setU8(S.FTW, 0);
    vcpu.bytes(S.FPR, 128).fill(0);
  }
  const registers = vcpu.bytes(S.XMM, 16 * xmms(vcpu));
  if (sse === "load") registers.set(area.subarray(XMM_REGISTERS, XMM_REGISTERS + registers.length));
  else if (sse === "initialize") registers.fill(0);
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
  const area = new Uint8Array(AREA);
  storeX87(vcpu, area);
  const view = new DataView(area.buffer);
  view.setInt32(24, vcpu.i32(S.MXCSR), true);
  view.setInt32(28, MXCSR_MASK, true);
  storeSse(vcpu, area);
  // Bytes 464-511 are the operating system's.
  return done(vcpu.linear.writeBytes(address.lo, address.hi, area.subarray(0, XMM_REGISTERS + 16 * xmms(vcpu))));
};

const fxrstor: Helper = (vcpu, site) => {
  if (!areaAt(vcpu, site, false) || !touch(vcpu, address, AREA - 1, false)) return FAULT;
  const area = new Uint8Array(AREA);
  if (!vcpu.linear.readBytes(address.lo, address.hi, area)) return FAULT;
  const mxcsr = new DataView(area.buffer).getInt32(24, true);
  if (mxcsr & ~MXCSR_MASK) return done(vcpu.raiseError(Vector.GP, 0));
  loadLegacy(vcpu, area, { x87: "load", sse: "load" });
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
