import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import { touch } from "../../memory/touch.js";
import { CR0_TS, CR4_OSXSAVE, CR4_PKE, Vector } from "../../registers/constants.js";
import type { Halves } from "../../registers/halves.js";
import { u64 } from "../../registers/u64.js";
import { done, FAULT, NEXT, suppressed, undefinedOpcode, vetoed } from "../common.js";
import {
  areaAddress,
  loadLegacy,
  MXCSR_INITIAL,
  MXCSR_MASK,
  storeSse,
  storeX87,
  x87InUse,
  xmmsInUse,
} from "./fxsave.js";

/**
 * State components and the XSAVE area. SDM vol. 1, chapter 13. Components: 0 x87, 1 SSE, 9 PKRU; IA32_XSS names none.
 */
export const X87 = 1;
export const SSE = 2;
export const PKRU = 0x200;

/** Bytes: the legacy region, then the header, then the extended region. */
export const HEADER = 512;
const EXTENDED = 576;
const AREA = EXTENDED + 8;
/** Where PKRU is in either format: it is the only component after the header. */
export const PKRU_AT = EXTENDED;

const COMPACTED = 1 << 31;

const address: Halves = { lo: 0, hi: 0 };

/** Components CPUID leaf 0xD offers, low half; the high half offers none. */
function offered(vcpu: VcpuContext): number {
  return vcpu.ports.cpuid.query(0xd, 0).eax;
}

/** #UD without CR4.OSXSAVE, #NM with CR0.TS (SDM vol. 2, XSAVE). */
function available(vcpu: VcpuContext): boolean {
  if (!(vcpu.cr4 & CR4_OSXSAVE)) return vcpu.raise(Vector.UD);
  return vcpu.cr0 & CR0_TS ? vcpu.raise(Vector.NM) : true;
}

/** Components that differ from their initial configuration (SDM vol. 1, 13.6). */
function inUse(vcpu: VcpuContext): number {
  return (
    (x87InUse(vcpu) ? X87 : 0) |
    (xmmsInUse(vcpu) || vcpu.i32(S.MXCSR) !== MXCSR_INITIAL ? SSE : 0) |
    (vcpu.paging.pkru !== 0 ? PKRU : 0)
  );
}

/** Bytes of the area that an instruction for components `requested` uses. */
const areaSize = (requested: number): number => (requested & PKRU ? AREA : EXTENDED);

interface Save {
  /** XSAVEC, XSAVES: the compacted format, of which PKRU's place does not depend. */
  readonly compact: boolean;
  /** Components in their initial configuration are not written: XSAVEOPT, XSAVEC, XSAVES. */
  readonly optimize: boolean;
  readonly supervisor: boolean;
}

const xsave =
  ({ compact, optimize, supervisor }: Save): Helper =>
  (vcpu, site) => {
    if (!available(vcpu)) return FAULT;
    if (supervisor && vcpu.cpl !== 0) return done(vcpu.raiseError(Vector.GP, 0));
    const requested = vcpu.regLo(0) & vcpu.xcr0;
    const size = areaSize(requested);
    if (!areaAddress(vcpu, site, address, size, 64, true)) return FAULT;
    const { lo, hi } = address;
    const used = inUse(vcpu);
    const area = new Uint8Array(size);
    if (!touch(vcpu, address, EXTENDED - 1, true) || !vcpu.linear.probeWriteRange(lo, hi, size)) return FAULT;
    // What is not requested, and the rest of the header, stays as it is in memory.
    if (!vcpu.linear.readBytes(lo, hi, area)) return FAULT;
    const view = new DataView(area.buffer);
    const written = optimize ? requested & used : requested;
    if (written & X87) storeX87(vcpu, area);
    if (compact ? written & SSE : requested & SSE) {
      view.setInt32(24, vcpu.i32(S.MXCSR), true);
      view.setInt32(28, MXCSR_MASK, true);
    }
    if (written & SSE) storeSse(vcpu, area);
    if (written & PKRU) {
      view.setInt32(PKRU_AT, vcpu.paging.pkru, true);
      view.setInt32(PKRU_AT + 4, 0, true);
    }
    const before = compact ? 0 : view.getInt32(HEADER, true);
    view.setInt32(HEADER, (before & ~requested) | (requested & used), true);
    if (compact) {
      view.setInt32(HEADER + 4, 0, true);
      view.setInt32(HEADER + 8, requested, true);
      view.setInt32(HEADER + 12, COMPACTED, true);
    }
    return done(vcpu.linear.writeBytes(lo, hi, area));
  };

/** Whether bytes [`from`, `to`) are all zero. */
export const zero = (area: Uint8Array, from: number, to: number): boolean =>
  area.subarray(from, to).every((byte) => byte === 0);

const xrstor =
  (supervisor: boolean): Helper =>
  (vcpu, site) => {
    if (!available(vcpu)) return FAULT;
    if (supervisor && vcpu.cpl !== 0) return done(vcpu.raiseError(Vector.GP, 0));
    const requested = vcpu.regLo(0) & vcpu.xcr0;
    const area = new Uint8Array(areaSize(requested));
    if (!areaAddress(vcpu, site, address, area.length, 64, false)) return FAULT;
    if (!touch(vcpu, address, HEADER + 8, false)) return FAULT;
    if (!vcpu.linear.readBytes(address.lo, address.hi, area)) return FAULT;
    const view = new DataView(area.buffer);
    const present = view.getInt32(HEADER, true);
    const compact = view.getInt32(HEADER + 12, true) < 0;
    const format = view.getInt32(HEADER + 8, true);
    const known = vcpu.xcr0;
    const sound = compact
      ? view.getInt32(HEADER + 12, true) === COMPACTED &&
        (format & ~known) === 0 &&
        (present & ~format) === 0 &&
        zero(area, HEADER + 4, HEADER + 8) &&
        zero(area, HEADER + 16, EXTENDED)
      : !supervisor &&
        (present & ~known) === 0 &&
        zero(area, HEADER + 4, HEADER + 8) &&
        zero(area, HEADER + 8, HEADER + 24);
    if (!sound) return done(vcpu.raiseError(Vector.GP, 0));
    // MXCSR goes with the SSE component in the compacted format; in the standard one it is loaded in any case.
    const mxcsr = !compact || present & SSE ? view.getInt32(24, true) : MXCSR_INITIAL;
    // The x87 state is loaded by the time a reserved bit of MXCSR is found (recorded from hardware).
    const x87 = requested & X87 ? (present & X87 ? "load" : "initialize") : "keep";
    loadLegacy(vcpu, area, { x87, sse: "keep" });
    if (requested & SSE && mxcsr & ~MXCSR_MASK) return done(vcpu.raiseError(Vector.GP, 0));
    const sse = requested & SSE ? (present & SSE ? "load" : "initialize") : "keep";
    loadLegacy(vcpu, area, { x87: "keep", sse });
    if (requested & SSE) vcpu.setI32(S.MXCSR, mxcsr);
    if (requested & PKRU) vcpu.setPkru(present & PKRU ? view.getInt32(PKRU_AT, true) : 0);
    return NEXT;
  };

const xgetbv: Helper = (vcpu) => {
  if (!(vcpu.cr4 & CR4_OSXSAVE)) return undefinedOpcode(vcpu);
  const index = vcpu.regLo(1);
  if (index !== 0 && index !== 1) return done(vcpu.raiseError(Vector.GP, 0));
  vcpu.setReg(0, index === 0 ? vcpu.xcr0 : vcpu.xcr0 & inUse(vcpu), 0);
  vcpu.setReg(2, 0, 0);
  return NEXT;
};

const xsetbv: Helper = (vcpu) => {
  if (!(vcpu.cr4 & CR4_OSXSAVE)) return undefinedOpcode(vcpu);
  const [lo, hi] = [vcpu.regLo(0), vcpu.regLo(2)];
  if (vcpu.cpl !== 0 || vcpu.regLo(1) !== 0 || hi !== 0 || !(lo & X87) || lo & ~offered(vcpu)) {
    return done(vcpu.raiseError(Vector.GP, 0));
  }
  if (vetoed(vcpu, vcpu.hooks.extendedControl?.(u64(lo, hi)))) return suppressed(vcpu);
  vcpu.xcr0 = lo;
  return NEXT;
};

const rdpkru: Helper = (vcpu) => {
  if (!(vcpu.cr4 & CR4_PKE)) return undefinedOpcode(vcpu);
  if (vcpu.regLo(1) !== 0) return done(vcpu.raiseError(Vector.GP, 0));
  vcpu.setReg(0, vcpu.paging.pkru, 0);
  vcpu.setReg(2, 0, 0);
  return NEXT;
};

const wrpkru: Helper = (vcpu) => {
  if (!(vcpu.cr4 & CR4_PKE)) return undefinedOpcode(vcpu);
  if (vcpu.regLo(1) !== 0 || vcpu.regLo(2) !== 0) return done(vcpu.raiseError(Vector.GP, 0));
  vcpu.setPkru(vcpu.regLo(0));
  return NEXT;
};

/** XSAVE family, XCR0 and PKRU. */
export const XSAVE_HELPERS: Readonly<Record<string, Helper>> = {
  xsave: xsave({ compact: false, optimize: false, supervisor: false }),
  xsaveopt: xsave({ compact: false, optimize: true, supervisor: false }),
  xsavec: xsave({ compact: true, optimize: true, supervisor: false }),
  xsaves: xsave({ compact: true, optimize: true, supervisor: true }),
  xrstor: xrstor(false),
  xrstors: xrstor(true),
  xgetbv,
  xsetbv,
  rdpkru,
  wrpkru,
};
