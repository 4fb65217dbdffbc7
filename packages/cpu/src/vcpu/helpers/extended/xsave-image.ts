import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import { loadLegacy, MXCSR_MASK, storeX87, XMM_REGISTERS } from "./fxsave.js";
import { HEADER, PKRU, PKRU_AT, SSE, X87, zero } from "./xsave.js";

/**
 * The extended state from outside, in the standard format of XSAVE (SDM vol. 1, 13.4): what KVM_GET_XSAVE and KVM_SET_XSAVE move. x87 and
 * SSE are in it whatever XCR0 says, and all sixteen XMM registers whatever the mode.
 */

const XMM_BYTES = 256;

/** @param area 584 bytes or more, all zero */
export function saveXsave(vcpu: VcpuContext, area: Uint8Array): void {
  const view = new DataView(area.buffer, area.byteOffset, area.byteLength);
  const legacy = new Uint8Array(HEADER);
  storeX87(vcpu, legacy);
  legacy.set(vcpu.bytes(S.XMM, XMM_BYTES), XMM_REGISTERS);
  area.set(legacy);
  view.setInt32(24, vcpu.i32(S.MXCSR), true);
  view.setInt32(28, MXCSR_MASK, true);
  view.setInt32(HEADER, X87 | SSE | (vcpu.xcr0 & PKRU), true);
  if (vcpu.xcr0 & PKRU) view.setInt32(PKRU_AT, vcpu.paging.pkru, true);
}

/** Loads what {@link saveXsave} writes; absent components are initialized. False for what XRSTOR would refuse, with nothing changed. */
export function loadXsave(vcpu: VcpuContext, area: Uint8Array): boolean {
  const view = new DataView(area.buffer, area.byteOffset, area.byteLength);
  const present = view.getInt32(HEADER, true);
  const mxcsr = view.getInt32(24, true);
  const known = X87 | SSE | vcpu.xcr0;
  if ((present & ~known) !== 0 || !zero(area, HEADER + 4, HEADER + 24) || mxcsr & ~MXCSR_MASK) return false;
  loadLegacy(vcpu, area.slice(0, HEADER), { x87: present & X87 ? "load" : "initialize", sse: "keep" });
  const xmm = vcpu.bytes(S.XMM, XMM_BYTES);
  if (present & SSE) xmm.set(area.subarray(XMM_REGISTERS, XMM_REGISTERS + XMM_BYTES));
  else xmm.fill(0);
  vcpu.setI32(S.MXCSR, mxcsr);
  if (vcpu.xcr0 & PKRU) vcpu.setPkru(present & PKRU ? view.getInt32(PKRU_AT, true) : 0);
  return true;
}
