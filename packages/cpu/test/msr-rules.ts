/** What WRMSR and RDMSR must do, one register a row, as the manual has it: written from there and not from the code. */
export interface MsrRule {
  readonly number: number;
  readonly name: string;
  /** Where the SDM says so. */
  readonly source: string;
  /** Value in which single bits are flipped; default 0. */
  readonly base?: bigint;
  /** Whether the value with bit `bit` of the base flipped can be written. */
  readonly accepts: (bit: number) => boolean;
  /** RDMSR gives what was written; false where it does not, undefined where reading is #GP. */
  readonly keeps?: boolean | undefined;
}

const all = (): boolean => true;
const none = (): boolean => false;
const only =
  (...bits: readonly number[]) =>
  (bit: number): boolean =>
    bits.includes(bit);
/** One bit in an otherwise zero address of 48 bits: canonical while it is below bit 47. */
const canonical = (bit: number): boolean => bit < 47;
const lowHalf = (bit: number): boolean => bit < 32;

/** Memory types: UC WC WT WP WB UC-. */
const TYPES = new Set([0, 1, 4, 5, 6, 7]);
const PAT_RESET = 0x0007040600070406n;
const patAccepts = (bit: number): boolean => {
  const byte = (PAT_RESET >> BigInt(8 * Math.floor(bit / 8))) & 0xffn;
  return TYPES.has(Number(byte ^ (1n << BigInt(bit % 8))));
};

const BANKS = 10;
const banks = Array.from({ length: BANKS }, (_, k): readonly MsrRule[] => [
  // One bit is neither all ones nor all zeros.
  { number: 0x400 + 4 * k, name: `IA32_MC${k}_CTL`, source: "vol. 3, 16.3.2.1", accepts: none },
  { number: 0x401 + 4 * k, name: `IA32_MC${k}_STATUS`, source: "vol. 3, 16.3.2.2: writing 1s is #GP", accepts: none },
  { number: 0x402 + 4 * k, name: `IA32_MC${k}_ADDR`, source: "vol. 3, 16.3.2.3", accepts: all, keeps: true },
  { number: 0x403 + 4 * k, name: `IA32_MC${k}_MISC`, source: "vol. 3, 16.3.2.4", accepts: all, keeps: true },
]).flat();

export const MSR_RULES: readonly MsrRule[] = [
  { number: 0x10, name: "IA32_TIME_STAMP_COUNTER", source: "vol. 3, 18.17", accepts: all, keeps: false },
  { number: 0x17, name: "IA32_PLATFORM_ID", source: "vol. 4, table 2-2: read-only", accepts: none, keeps: false },
  { number: 0xfe, name: "IA32_MTRRCAP", source: "vol. 3, 12.11.1: read-only", accepts: none, keeps: false },
  // Of the types that differ from WB by a bit only WT is one; then come FE and E.
  {
    number: 0x2ff,
    name: "IA32_MTRR_DEF_TYPE",
    source: "vol. 3, 12.11.2.1",
    base: 0x806n,
    accepts: only(1, 10, 11),
    keeps: true,
  },
  { number: 0x3b, name: "IA32_TSC_ADJUST", source: "vol. 3, 18.17.3", accepts: all, keeps: true },
  { number: 0x3a, name: "IA32_FEATURE_CONTROL", source: "vol. 4, table 2-2: locked", accepts: none, keeps: false },
  { number: 0x48, name: "IA32_SPEC_CTRL", source: "vol. 4, table 2-2: IBRS", accepts: only(0), keeps: true },
  { number: 0x49, name: "IA32_PRED_CMD", source: "vol. 4, table 2-2: IBPB, write-only", accepts: only(0) },
  { number: 0x8b, name: "IA32_BIOS_SIGN_ID", source: "vol. 3, 10.11.7", accepts: all, keeps: false },
  {
    number: 0x10a,
    name: "IA32_ARCH_CAPABILITIES",
    source: "vol. 4, table 2-2: read-only",
    accepts: none,
    keeps: false,
  },
  { number: 0x10b, name: "IA32_FLUSH_CMD", source: "vol. 4, table 2-2: not offered", accepts: none },
  { number: 0x174, name: "IA32_SYSENTER_CS", source: "vol. 4, table 2-2", accepts: all, keeps: true },
  { number: 0x175, name: "IA32_SYSENTER_ESP", source: "vol. 3, 6.8.7.1", accepts: canonical, keeps: true },
  { number: 0x176, name: "IA32_SYSENTER_EIP", source: "vol. 3, 6.8.7.1", accepts: canonical, keeps: true },
  { number: 0x179, name: "IA32_MCG_CAP", source: "vol. 3, 16.3.1.1: read-only", accepts: none, keeps: false },
  { number: 0x17a, name: "IA32_MCG_STATUS", source: "vol. 3, 16.3.1.2", accepts: only(0, 1, 2), keeps: true },
  { number: 0x17b, name: "IA32_MCG_CTL", source: "vol. 3, 16.3.1.3: only with MCG_CTL_P", accepts: none },
  {
    number: 0x1a0,
    name: "IA32_MISC_ENABLE",
    source: "vol. 4, table 2-2",
    base: 0x1801n,
    accepts: only(0, 3, 16, 18, 22, 23, 34),
    keeps: true,
  },
  { number: 0x1d9, name: "IA32_DEBUGCTL", source: "vol. 3, 18.4.1: LBR, BTF", accepts: only(0, 1), keeps: true },
  { number: 0x277, name: "IA32_PAT", source: "vol. 3, 12.12.2", base: PAT_RESET, accepts: patAccepts, keeps: true },
  { number: 0xda0, name: "IA32_XSS", source: "vol. 1, 13.3: no supervisor components", accepts: none, keeps: false },
  // LME cannot change while paging is on; what is written to LMA does not count.
  {
    number: 0xc0000080,
    name: "IA32_EFER",
    source: "vol. 3, 2.2.1",
    base: 0xd01n,
    accepts: only(0, 10, 11),
    keeps: false,
  },
  { number: 0xc0000081, name: "IA32_STAR", source: "vol. 4, table 2-2", accepts: all, keeps: true },
  { number: 0xc0000082, name: "IA32_LSTAR", source: "vol. 4, table 2-2", accepts: canonical, keeps: true },
  { number: 0xc0000083, name: "IA32_CSTAR", source: "vol. 4, table 2-2", accepts: canonical, keeps: true },
  { number: 0xc0000084, name: "IA32_FMASK", source: "vol. 4, table 2-2", accepts: lowHalf, keeps: true },
  { number: 0xc0000100, name: "IA32_FS_BASE", source: "vol. 4, table 2-2", accepts: canonical, keeps: true },
  { number: 0xc0000101, name: "IA32_GS_BASE", source: "vol. 4, table 2-2", accepts: canonical, keeps: true },
  { number: 0xc0000102, name: "IA32_KERNEL_GS_BASE", source: "vol. 4, table 2-2", accepts: canonical, keeps: true },
  { number: 0xc0000103, name: "IA32_TSC_AUX", source: "vol. 4, table 2-2", accepts: lowHalf, keeps: true },
  ...banks,
];

/** Registers that are not there: of banks beyond the last, of features that are not offered, and of nothing. */
export const MISSING: readonly (readonly [number: number, name: string])[] = [
  ...Array.from({ length: 4 * (32 - BANKS) }, (_, k): readonly [number, string] => [
    0x400 + 4 * BANKS + k,
    `machine-check bank ${BANKS + Math.floor(k / 4)}`,
  ]),
  [0x200, "IA32_MTRR_PHYSBASE0"],
  [0xc1, "IA32_PMC0"],
  [0x186, "IA32_PERFEVTSEL0"],
  [0x345, "IA32_PERF_CAPABILITIES"],
  [0x480, "IA32_VMX_BASIC"],
  [0x6a2, "IA32_S_CET"],
  [0xe1, "IA32_UMWAIT_CONTROL"],
  [0x6e1, "IA32_PKRS"],
  [0xc0000104, "none"],
  [0x12345678, "none"],
  [0xffffffff, "none"],
];
