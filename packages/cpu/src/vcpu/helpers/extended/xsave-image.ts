import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import { loadSse, loadX87, MXCSR_MASK, storeSse, storeX87 } from "./fxsave.js";
import { LARGEST_AREA, StateArea } from "./state-area.js";
import { HEADER, PKRU, PKRU_AT, SSE, X87 } from "./xsave.js";

/**
 * The extended state from outside, in the standard format of XSAVE (SDM vol. 1, 13.4): what KVM_GET_XSAVE and KVM_SET_XSAVE move. x87 and
 * SSE are in it whatever XCR0 says, and all sixteen XMM registers whatever the mode.
 */

const XMMS = 16;

/** @param area 584 bytes or more, all zero */
export function saveXsave(vcpu: VcpuContext, area: Uint8Array): void {
  const bytes = new Uint8Array(LARGEST_AREA);
  const image = new StateArea().over(bytes);
  storeX87(vcpu, image);
  storeSse(vcpu, image, XMMS);
  image.setI32(24, vcpu.i32(S.MXCSR));
  image.setI32(28, MXCSR_MASK);
  image.setI32(HEADER, X87 | SSE | (vcpu.xcr0 & PKRU));
  if (vcpu.xcr0 & PKRU) image.setI32(PKRU_AT, vcpu.paging.pkru);
  area.set(bytes);
}

/** Loads what {@link saveXsave} writes; absent components are initialized. False for what XRSTOR would refuse, with nothing changed. */
export function loadXsave(vcpu: VcpuContext, area: Uint8Array): boolean {
  const bytes = new Uint8Array(LARGEST_AREA);
  bytes.set(area.subarray(0, LARGEST_AREA));
  const image = new StateArea().over(bytes);
  const present = image.i32(HEADER);
  const mxcsr = image.i32(24);
  const known = X87 | SSE | vcpu.xcr0;
  if ((present & ~known) !== 0 || !image.zero(HEADER + 4, HEADER + 24) || mxcsr & ~MXCSR_MASK) return false;
  loadX87(vcpu, image, present & X87 ? "load" : "initialize");
  loadSse(vcpu, image, present & SSE ? "load" : "initialize", XMMS);
  vcpu.setI32(S.MXCSR, mxcsr);
  if (vcpu.xcr0 & PKRU) vcpu.setPkru(present & PKRU ? image.i32(PKRU_AT) : 0);
  return true;
}
