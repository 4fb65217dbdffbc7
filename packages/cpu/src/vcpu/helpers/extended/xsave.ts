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
  loadSse,
  loadX87,
  MXCSR_INITIAL,
  MXCSR_MASK,
  storeSse,
  storeX87,
  x87InUse,
  xmmsInUse,
} from "./fxsave.js";
import { area, LARGEST_AREA } from "./state-area.js";

/**
 * State components and the XSAVE area. SDM vol. 1, chapter 13. Components: 0 x87, 1 SSE, 9 PKRU; IA32_XSS names none.
 */
export const X87 = 1;
export const SSE = 2;
export const PKRU = 0x200;

/** Bytes: the legacy region, then the header, then the extended region. */
export const HEADER = 512;
const EXTENDED = 576;
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
const areaSize = (requested: number): number => (requested & PKRU ? LARGEST_AREA : EXTENDED);

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
    const used = inUse(vcpu);
    // What is not requested, and the rest of the header, stays as it is in memory.
    if (!touch(vcpu, address, EXTENDED - 1, true) || !area.forUpdate(vcpu, address, size)) return FAULT;
    const written = optimize ? requested & used : requested;
    if (written & X87) storeX87(vcpu, area);
    if (compact ? written & SSE : requested & SSE) {
      area.setI32(24, vcpu.i32(S.MXCSR));
      area.setI32(28, MXCSR_MASK);
    }
    if (written & SSE) storeSse(vcpu, area);
    if (written & PKRU) {
      area.setI32(PKRU_AT, vcpu.paging.pkru);
      area.setI32(PKRU_AT + 4, 0);
    }
    const before = compact ? 0 : area.i32(HEADER);
    area.setI32(HEADER, (before & ~requested) | (requested & used));
    if (compact) {
      area.setI32(HEADER + 4, 0);
      area.setI32(HEADER + 8, requested);
      area.setI32(HEADER + 12, COMPACTED);
    }
    return done(area.commit(vcpu, address, size));
  };

const xrstor =
  (supervisor: boolean): Helper =>
  (vcpu, site) => {
    if (!available(vcpu)) return FAULT;
    if (supervisor && vcpu.cpl !== 0) return done(vcpu.raiseError(Vector.GP, 0));
    const requested = vcpu.regLo(0) & vcpu.xcr0;
    const size = areaSize(requested);
    if (!areaAddress(vcpu, site, address, size, 64, false)) return FAULT;
    if (!touch(vcpu, address, HEADER + 8, false) || !area.forRead(vcpu, address, size)) return FAULT;
    const present = area.i32(HEADER);
    const compact = area.i32(HEADER + 12) < 0;
    const format = area.i32(HEADER + 8);
    const known = vcpu.xcr0;
    const sound = compact
      ? area.i32(HEADER + 12) === COMPACTED &&
        (format & ~known) === 0 &&
        (present & ~format) === 0 &&
        area.zero(HEADER + 4, HEADER + 8) &&
        area.zero(HEADER + 16, EXTENDED)
      : !supervisor && (present & ~known) === 0 && area.zero(HEADER + 4, HEADER + 24);
    if (!sound) return done(vcpu.raiseError(Vector.GP, 0));
    // MXCSR goes with the SSE component in the compacted format; in the standard one it is loaded in any case.
    const mxcsr = !compact || present & SSE ? area.i32(24) : MXCSR_INITIAL;
    // The x87 state is loaded by the time a reserved bit of MXCSR is found (recorded from hardware).
    if (requested & X87) loadX87(vcpu, area, present & X87 ? "load" : "initialize");
    if (requested & SSE) {
      if (mxcsr & ~MXCSR_MASK) return done(vcpu.raiseError(Vector.GP, 0));
      loadSse(vcpu, area, present & SSE ? "load" : "initialize");
      vcpu.setI32(S.MXCSR, mxcsr);
    }
    if (requested & PKRU) vcpu.setPkru(present & PKRU ? area.i32(PKRU_AT) : 0);
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
