import type { VcpuContext } from "../context/context.js";
import { EFER_LMA, EFER_LME, EFER_NXE, EFER_SCE, MSR, Seg } from "../registers/constants.js";
import { type CpuidBit, type MsrRow, offers, type Pair } from "./msr-row.js";
import {
  machineCheckControl,
  memoryType,
  patTypes,
  readSegmentBase,
  readTsc,
  readTscAdjust,
  writeEfer,
  writeSegmentBase,
  writeTsc,
  writeTscAdjust,
} from "./msr-special.js";

const CPUID = {
  SEP: { leaf: 1, register: "edx", bit: 11 },
  TSC: { leaf: 1, register: "edx", bit: 4 },
  PAT: { leaf: 1, register: "edx", bit: 16 },
  TSC_ADJUST: { leaf: 7, register: "ebx", bit: 1 },
  IBRS: { leaf: 7, register: "edx", bit: 26 },
  STIBP: { leaf: 7, register: "edx", bit: 27 },
  L1D_FLUSH: { leaf: 7, register: "edx", bit: 28 },
  ARCH_CAPABILITIES: { leaf: 7, register: "edx", bit: 29 },
  SSBD: { leaf: 7, register: "edx", bit: 31 },
  BHI_CTRL: { leaf: 7, subleaf: 2, register: "edx", bit: 4 },
  RDPID: { leaf: 7, register: "ecx", bit: 22 },
  XSAVES: { leaf: 0xd, subleaf: 1, register: "eax", bit: 3 },
  SYSCALL: { leaf: 0x80000001, register: "edx", bit: 11 },
  NX: { leaf: 0x80000001, register: "edx", bit: 20 },
  RDTSCP: { leaf: 0x80000001, register: "edx", bit: 27 },
  LM: { leaf: 0x80000001, register: "edx", bit: 29 },
} as const satisfies Record<string, CpuidBit>;

/** No bit, and all of the low half. */
const NONE: Pair = [0, 0];
const LOW_HALF: Pair = [-1, 0];

/** Bits whose features are offered; all lie in the low half. */
const whereOffered =
  (...rows: readonly (readonly [mask: number, feature: CpuidBit])[]) =>
  (vcpu: VcpuContext): Pair => [rows.reduce((sum, [mask, feature]) => sum | (offers(vcpu, feature) ? mask : 0), 0), 0];

const BANKS = 10;

/** Registers of a machine-check bank (SDM vol. 3, 16.3.2). Nothing ever reports an error in them. */
function bank(index: number): readonly MsrRow[] {
  const row = (offset: number, register: string, section: string, rest: Partial<MsrRow>): MsrRow => ({
    number: 0x400 + 4 * index + offset,
    name: `IA32_MC${index}_${register}`,
    source: `vol. 3, ${section}`,
    ...rest,
  });
  return [
    row(0, "CTL", "16.3.2.1", { valid: machineCheckControl }),
    // Only cleared; setting a bit is #GP.
    row(1, "STATUS", "16.3.2.2", { writable: NONE }),
    row(2, "ADDR", "16.3.2.3", {}),
    row(3, "MISC", "16.3.2.4", {}),
  ];
}

/** The MSRs of the processor itself. Those of the local APIC, and whatever else a machine has, are behind `ApicPort`. Sources: SDM. */
export const MSR_TABLE: readonly MsrRow[] = [
  {
    number: MSR.TSC,
    name: "IA32_TIME_STAMP_COUNTER",
    source: "vol. 3, 18.17",
    features: [CPUID.TSC],
    read: readTsc,
    write: writeTsc,
  },
  { number: MSR.PLATFORM_ID, name: "IA32_PLATFORM_ID", source: "vol. 4, table 2-2", access: "read-only" },
  // Locked, nothing enabled.
  {
    number: MSR.FEATURE_CONTROL,
    name: "IA32_FEATURE_CONTROL",
    source: "vol. 4, table 2-2",
    access: "read-only",
    reset: [1, 0],
  },
  {
    number: MSR.TSC_ADJUST,
    name: "IA32_TSC_ADJUST",
    source: "vol. 3, 18.17.3",
    features: [CPUID.TSC_ADJUST],
    read: readTscAdjust,
    write: writeTscAdjust,
  },
  // There is no speculation to control: IBRS, STIBP and SSBD are remembered.
  {
    number: MSR.SPEC_CTRL,
    name: "IA32_SPEC_CTRL",
    source: "vol. 4, table 2-2",
    features: [CPUID.IBRS, CPUID.STIBP, CPUID.SSBD, CPUID.BHI_CTRL],
    writable: whereOffered([1, CPUID.IBRS], [2, CPUID.STIBP], [4, CPUID.SSBD], [1 << 10, CPUID.BHI_CTRL]),
  },
  {
    number: MSR.PRED_CMD,
    name: "IA32_PRED_CMD",
    source: "vol. 4, table 2-2",
    features: [CPUID.IBRS],
    access: "write-only",
    writable: [1, 0],
  },
  // Written before CPUID to ask for the microcode revision: there is none.
  {
    number: MSR.BIOS_SIGN_ID,
    name: "IA32_BIOS_SIGN_ID",
    source: "vol. 3, 10.11.7",
    write: () => true,
  },
  // No ranges, fixed or variable: all memory is of the default type, write-back.
  { number: MSR.MTRR_CAP, name: "IA32_MTRRCAP", source: "vol. 3, 12.11.1", access: "read-only" },
  {
    number: MSR.MTRR_DEF_TYPE,
    name: "IA32_MTRR_DEF_TYPE",
    source: "vol. 3, 12.11.2.1",
    reset: [0x806, 0],
    writable: [0xc07, 0],
    valid: (lo) => memoryType(lo & 7),
  },
  // RDCL IBRS_ALL SKIP_L1DFL SSB MDS PSCHANGE TAA SBDR FBSDP PSDP BHI PBRSB GDS RFDS ITS: an interpreter does not speculate, so the guest
  // need not defend itself.
  {
    number: MSR.ARCH_CAPABILITIES,
    name: "IA32_ARCH_CAPABILITIES",
    source: "vol. 4, table 2-2",
    features: [CPUID.ARCH_CAPABILITIES],
    access: "read-only",
    reset: [0x0d10e17b, 0x40000000],
  },
  {
    number: MSR.FLUSH_CMD,
    name: "IA32_FLUSH_CMD",
    source: "vol. 4, table 2-2",
    features: [CPUID.L1D_FLUSH],
    access: "write-only",
    writable: [1, 0],
  },
  { number: MSR.SYSENTER_CS, name: "IA32_SYSENTER_CS", source: "vol. 3, 6.8.7", features: [CPUID.SEP] },
  {
    number: MSR.SYSENTER_ESP,
    name: "IA32_SYSENTER_ESP",
    source: "vol. 3, 6.8.7",
    features: [CPUID.SEP],
    address: true,
  },
  {
    number: MSR.SYSENTER_EIP,
    name: "IA32_SYSENTER_EIP",
    source: "vol. 3, 6.8.7",
    features: [CPUID.SEP],
    address: true,
  },
  // Bits 7:0 say how many banks there are; no IA32_MCG_CTL, nothing beyond.
  { number: MSR.MCG_CAP, name: "IA32_MCG_CAP", source: "vol. 3, 16.3.1.1", access: "read-only", reset: [BANKS, 0] },
  // RIPV EIPV MCIP.
  { number: 0x17a, name: "IA32_MCG_STATUS", source: "vol. 3, 16.3.1.2", writable: [7, 0] },
  // Fast strings; no branch trace store, no PEBS. What can be switched (TCC, SpeedStep, MONITOR, CPUID limit, xTPR, XD) is remembered.
  {
    number: MSR.MISC_ENABLE,
    name: "IA32_MISC_ENABLE",
    source: "vol. 4, table 2-2",
    reset: [0x1801, 0],
    writable: [0x00c51889, 4],
    constant: [0x1880, 0],
  },
  // LBR and BTF.
  { number: MSR.DEBUGCTL, name: "IA32_DEBUGCTL", source: "vol. 3, 18.4.1", writable: [3, 0] },
  {
    number: MSR.PAT,
    name: "IA32_PAT",
    source: "vol. 3, 12.12.2",
    features: [CPUID.PAT],
    reset: [0x00070406, 0x00070406],
    valid: patTypes,
  },
  ...Array.from({ length: BANKS }, (_, index) => bank(index)).flat(),
  // No supervisor state components.
  {
    number: 0xda0,
    name: "IA32_XSS",
    source: "vol. 1, 13.3",
    features: [CPUID.XSAVES],
    writable: (vcpu) => {
      const { ecx, edx } = vcpu.ports.cpuid.query(0xd, 1);
      return [ecx, edx];
    },
  },
  {
    number: MSR.EFER,
    name: "IA32_EFER",
    source: "vol. 3, 2.2.1",
    features: [CPUID.NX, CPUID.LM, CPUID.SYSCALL],
    // LMA is the processor's: what is written there does not count.
    writable: whereOffered([EFER_SCE, CPUID.SYSCALL], [EFER_LME | EFER_LMA, CPUID.LM], [EFER_NXE, CPUID.NX]),
    read: (vcpu, out) => {
      [out.lo, out.hi] = [vcpu.efer, 0];
    },
    write: writeEfer,
  },
  { number: MSR.STAR, name: "IA32_STAR", source: "vol. 3, 6.8.8", features: [CPUID.SYSCALL] },
  { number: MSR.LSTAR, name: "IA32_LSTAR", source: "vol. 3, 6.8.8", features: [CPUID.LM], address: true },
  { number: MSR.CSTAR, name: "IA32_CSTAR", source: "vol. 4, table 2-2", features: [CPUID.LM], address: true },
  { number: MSR.SFMASK, name: "IA32_FMASK", source: "vol. 3, 6.8.8", features: [CPUID.LM], writable: LOW_HALF },
  {
    number: MSR.FS_BASE,
    name: "IA32_FS_BASE",
    source: "vol. 3, 3.4.4.1",
    features: [CPUID.LM],
    address: true,
    read: readSegmentBase(Seg.FS),
    write: writeSegmentBase(Seg.FS),
  },
  {
    number: MSR.GS_BASE,
    name: "IA32_GS_BASE",
    source: "vol. 3, 3.4.4.1",
    features: [CPUID.LM],
    address: true,
    read: readSegmentBase(Seg.GS),
    write: writeSegmentBase(Seg.GS),
  },
  {
    number: MSR.KERNEL_GS_BASE,
    name: "IA32_KERNEL_GS_BASE",
    source: "vol. 3, 6.8.8",
    features: [CPUID.LM],
    address: true,
  },
  {
    number: MSR.TSC_AUX,
    name: "IA32_TSC_AUX",
    source: "vol. 3, 18.17.2",
    features: [CPUID.RDTSCP, CPUID.RDPID],
    writable: LOW_HALF,
  },
];
