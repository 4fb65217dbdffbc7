import { type CpuidEntry, LEAF_ADDRESS_SIZES, withGuestPhysBits, withoutUnsupported } from "./cpuid-entry.js";
import { KvmTdxError } from "./errors.js";
import type { Seamcalls } from "./seamcalls.js";

/** What KVM wants to know of a TDX module. Linux: struct tdx_sys_info. */
export interface TdxSysInfo {
  /** TDX_FEATURES0. */
  readonly features0: bigint;
  readonly maxTdmrs: number;
  readonly maxReservedPerTdmr: number;
  /** Bytes of an entry of the PAMT for pages of 4 KiB, 2 MiB and 1 GiB. */
  readonly pamtEntrySizes: readonly [number, number, number];
  /** Pages that a TD's control structure takes besides the TDR, and those of a vCPU besides the TDVPR. */
  readonly tdcsPages: number;
  readonly tdcxPages: number;
  /** A bit that is clear in fixed0 must be clear, one that is set in fixed1 must be set. */
  readonly attributesFixed0: bigint;
  readonly attributesFixed1: bigint;
  readonly xfamFixed0: bigint;
  readonly xfamFixed1: bigint;
  readonly maxVcpusPerTd: number;
  /** CPUID leaves that TD_PARAMS has a place for, in that order, and which of their bits can be configured. */
  readonly cpuidConfig: readonly CpuidEntry[];
}

/** FEATURES0 bit: TDH.VP.INIT takes an x2APIC id. */
export const FEATURE_TOPOLOGY_ENUM = 1n << 20n;

/** Global metadata field ids. Linux: arch/x86/virt/vmx/tdx/tdx_global_metadata.c. */
const FIELD = {
  features0: 0x0a00_0003_0000_0008n,
  maxTdmrs: 0x9100_0001_0000_0008n,
  maxReservedPerTdmr: 0x9100_0001_0000_0009n,
  pamt4kEntrySize: 0x9100_0001_0000_0010n,
  pamt2mEntrySize: 0x9100_0001_0000_0011n,
  pamt1gEntrySize: 0x9100_0001_0000_0012n,
  tdcsBaseSize: 0x9800_0001_0000_0100n,
  tdvpsBaseSize: 0x9800_0001_0000_0200n,
  attributesFixed0: 0x1900_0003_0000_0000n,
  attributesFixed1: 0x1900_0003_0000_0001n,
  xfamFixed0: 0x1900_0003_0000_0002n,
  xfamFixed1: 0x1900_0003_0000_0003n,
  numCpuidConfig: 0x9900_0001_0000_0004n,
  maxVcpusPerTd: 0x9900_0001_0000_0008n,
  cpuidConfigLeaves: 0x9900_0003_0000_0400n,
  cpuidConfigValues: 0x9900_0003_0000_0500n,
} as const;

/** What Linux has room for. */
const MAX_CPUID_CONFIG = 128;
const NO_SUBLEAF = 0xffff_ffff;
const PAGE = 4096;

const low = (value: bigint): number => Number(value & 0xffff_ffffn);
const high = (value: bigint): number => Number(value >> 32n);

/** Reads the global metadata by TDH.SYS.RD. @throws KvmTdxError EIO if the module does not give a field, EINVAL if it has too many CPUID leaves */
export function readSysInfo(seamcalls: Seamcalls, lp: number): TdxSysInfo {
  const read = (field: bigint): bigint => {
    const status = seamcalls.sysRd(lp, field);
    if (status !== 0n)
      throw new KvmTdxError("EIO", `TDH.SYS.RD of field 0x${field.toString(16)}: 0x${status.toString(16)}`);
    return seamcalls.r8;
  };
  const number = (field: bigint): number => Number(read(field));
  const count = number(FIELD.numCpuidConfig);
  if (count > MAX_CPUID_CONFIG)
    throw new KvmTdxError("EINVAL", `${count} configurable CPUID leaves; at most ${MAX_CPUID_CONFIG}`);
  const cpuidConfig = Array.from({ length: count }, (_, k): CpuidEntry => {
    const leaf = read(FIELD.cpuidConfigLeaves + BigInt(k));
    const eaxEbx = read(FIELD.cpuidConfigValues + BigInt(2 * k));
    const ecxEdx = read(FIELD.cpuidConfigValues + BigInt(2 * k + 1));
    return configurable(leaf, eaxEbx, ecxEdx);
  });
  return {
    features0: read(FIELD.features0),
    maxTdmrs: number(FIELD.maxTdmrs),
    maxReservedPerTdmr: number(FIELD.maxReservedPerTdmr),
    pamtEntrySizes: [number(FIELD.pamt4kEntrySize), number(FIELD.pamt2mEntrySize), number(FIELD.pamt1gEntrySize)],
    tdcsPages: number(FIELD.tdcsBaseSize) / PAGE,
    tdcxPages: number(FIELD.tdvpsBaseSize) / PAGE - 1,
    attributesFixed0: read(FIELD.attributesFixed0),
    attributesFixed1: read(FIELD.attributesFixed1),
    xfamFixed0: read(FIELD.xfamFixed0),
    xfamFixed1: read(FIELD.xfamFixed1),
    maxVcpusPerTd: number(FIELD.maxVcpusPerTd),
    cpuidConfig,
  };
}

/** td_init_cpuid_entry2: the width of guest-physical addresses is no bit of the module's, but KVM's way to be told it. */
function configurable(leaf: bigint, eaxEbx: bigint, ecxEdx: bigint): CpuidEntry {
  const subleaf = high(leaf);
  const entry = {
    function: low(leaf),
    index: subleaf === NO_SUBLEAF ? 0 : subleaf,
    eax: low(eaxEbx),
    ebx: high(eaxEbx),
    ecx: low(ecxEdx),
    edx: high(ecxEdx),
  };
  return withoutUnsupported(
    entry.function === LEAF_ADDRESS_SIZES ? { ...entry, eax: withGuestPhysBits(entry.eax, 0xff) } : entry,
  );
}
