import type { VcpuPorts } from "../../ports.js";
import * as S from "../../state.js";
import { MXCSR_MASK } from "../helpers/extended/fxsave.js";
import { X87 } from "../helpers/extended/xsave.js";
import { fcwOf, summarized } from "../helpers/x87/x87-unit.js";
import {
  ATTR_L,
  CR0_CD,
  CR0_NW,
  CR0_PE,
  CR0_PG,
  CR4_MCE,
  CR4_PAE,
  CR4_PCIDE,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
  EFER_SCE,
  Seg,
} from "../registers/constants.js";
import { CR0_MASK, cr4Offered } from "../system-registers/control-registers.js";
import { VcpuStateError } from "./error.js";
import { refuse } from "./shape.js";
import type { SegmentState, VcpuState } from "./vcpu-state.js";

type Ports = Pick<VcpuPorts, "cpuid">;

/** Bits of RFLAGS that exist, and the one that is always set (SDM vol. 1, 3.4.3). */
const RFLAGS = 0x3f7fd7;
const RFLAGS_SET = 2;
const EFER = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
/** Bits of a linear address without and with CPUID.LA57. */
const LINEAR_BITS = [48, 57] as const;
/** Bits of a guest-physical address that MOV to CR3 takes whatever CPUID says, and the most there can be (SDM vol. 2, CPUID). */
const LEAST_PHYSICAL_BITS = 40;
const MOST_PHYSICAL_BITS = 52;

const onlyBits = (path: string, value: number, bits: number): void => {
  if (value & ~bits) refuse(path, value, `bits ${(bits >>> 0).toString(16)} (hexadecimal) are there`);
};

const demand = (right: boolean, what: string): void => {
  if (!right) throw new VcpuStateError(what);
};

/** Control, debug, flag and floating-point registers as SDM vol. 3, 26.3.1.1 and 26.3.1.4 want them. */
export function checkRegisters(state: VcpuState, ports: Ports): void {
  checkControl(state, ports);
  checkCr3(state, ports);
  checkFlags(state);
  checkRip(state, ports);
  checkFloat(state);
  for (const [k, name] of [
    [4, "DR6"],
    [5, "DR7"],
  ] as const) {
    const { hi } = state.debug[k] as VcpuState["debug"][number];
    if (hi !== 0) refuse(`state.debug[${k}] (${name}).hi`, hi, "it has to be zero");
  }
}

function checkControl({ cr0, cr4, efer, xcr0 }: VcpuState, ports: Ports): void {
  onlyBits("state.cr0", cr0, CR0_MASK);
  // What CPUID does not say is in force may be so all the same: nothing here depends on CR4.MCE.
  onlyBits("state.cr4", cr4, cr4Offered({ ports }) | CR4_MCE);
  onlyBits("state.efer", efer, EFER);
  onlyBits("state.xcr0", xcr0, ports.cpuid.query(0xd, 0).eax | X87);
  const paging = (cr0 & CR0_PG) !== 0;
  const long = (efer & EFER_LMA) !== 0;
  demand(!paging || (cr0 & CR0_PE) !== 0, "CR0.PG is set without CR0.PE");
  demand(!(cr0 & CR0_NW) || (cr0 & CR0_CD) !== 0, "CR0.NW is set without CR0.CD");
  demand(long === (paging && (efer & EFER_LME) !== 0), "EFER.LMA is not CR0.PG and EFER.LME together");
  demand(!long || (cr4 & CR4_PAE) !== 0, "EFER.LMA is set without CR4.PAE");
  demand(long || !(cr4 & CR4_PCIDE), "CR4.PCIDE is set without EFER.LMA");
  demand((xcr0 & X87) !== 0, "bit 0 of XCR0 is clear");
}

function checkCr3({ cr3 }: VcpuState, { cpuid }: Ports): void {
  const named = cpuid.query(0x80000008, 0).eax & 0xff;
  const bits = Math.min(Math.max(named, LEAST_PHYSICAL_BITS), MOST_PHYSICAL_BITS);
  if (cr3.hi >= 2 ** (bits - 32)) refuse("state.cr3.hi", cr3.hi, `physical addresses have ${bits} bits`);
}

function checkFlags({ rflags, cr0, efer }: VcpuState): void {
  if (rflags & ~RFLAGS || !(rflags & RFLAGS_SET))
    refuse("state.rflags", rflags, "bit 1 has to be set, bits 3, 5, 15 and 22 up have to be clear");
  demand(!(rflags & S.VM) || ((cr0 & CR0_PE) !== 0 && !(efer & EFER_LMA)), "RFLAGS.VM is set outside protected mode");
}

/** Behind the last canonical address it may be, where the next fetch faults: bits above those of an address are alike, no more is asked. */
function checkRip({ rip, efer, segments }: VcpuState, { cpuid }: Ports): void {
  const long = (efer & EFER_LMA) !== 0 && ((segments[Seg.CS] as SegmentState).attributes & ATTR_L) !== 0;
  const bits = LINEAR_BITS[((cpuid.query(7, 0).ecx >>> 16) & 1) as 0 | 1];
  const above = (rip.hi | 0) >> (bits - 32);
  if (long ? above !== 0 && above !== -1 : rip.hi !== 0)
    refuse(
      "state.rip.hi",
      rip.hi,
      long ? `bits ${bits} to 63 of RIP are alike` : "outside 64-bit code RIP has 32 bits",
    );
}

/** What FLDCW, FRSTOR and LDMXCSR leave (SDM vol. 1, 8.1.3, 8.1.5, 10.2.3). */
function checkFloat({ fcw, fsw, mxcsr }: VcpuState): void {
  if (fcwOf(fcw) !== fcw) refuse("state.fcw", fcw, "bit 6 has to be set, bits 7 and 13 to 15 have to be clear");
  if (summarized(fsw, fcw) !== fsw)
    refuse("state.fsw", fsw, "bits 7 and 15 have to be set if an exception is unmasked, else clear");
  onlyBits("state.mxcsr", mxcsr, MXCSR_MASK);
}
