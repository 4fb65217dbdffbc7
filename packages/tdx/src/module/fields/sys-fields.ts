import type { FieldStore } from "../../metadata/access.js";
import { FieldContext } from "../../metadata/field-id.js";
import { CPUID_CONFIGURABLE } from "../../tables/cpuid.js";
import {
  ARCH_CAPABILITIES_CONFIG_MASK,
  attributesFixed0,
  CONFIG_FLAGS_FIXED0,
  MAX_VCPUS_PER_TD,
  MODULE_VERSION,
  TDX_FEATURES0,
  XFAM_FIXED1,
  xfamFixed0,
} from "../capabilities.js";
import type { ModuleState } from "../module-state.js";
import { PAGE_BYTES, PageSize } from "../page-type.js";
import { MIN_TDCS_PAGES } from "../td.js";
import { MIN_TDVPS_PAGES } from "../td-vcpu.js";
import { MAX_RESERVED_AREAS, MAX_TDMRS, PAMT_ENTRY_BYTES } from "../tdmr-info.js";

type Reader = (module: ModuleState, index: number) => bigint | number;

const INTEL = 0x8086;
const PAGE = PAGE_BYTES[PageSize.Size4K];
const ALL_ONES = (1n << 64n) - 1n;

/** Leaf in 31:0, subleaf in 63:32, all ones for a leaf without; all ones beyond the last. */
function configLeaf(index: number): bigint {
  const entry = CPUID_CONFIGURABLE[index];
  if (entry === undefined) return ALL_ONES;
  return (BigInt(entry.subleaf ?? 0xffff_ffff) << 32n) | BigInt(entry.leaf);
}

/** Bits that TD_PARAMS.CPUID_CONFIG may set and that make a difference: EAX and EBX, then ECX and EDX. */
function configValue({ platform }: ModuleState, index: number): bigint {
  const entry = CPUID_CONFIGURABLE[index >> 1];
  if (entry === undefined) return 0n;
  const native = platform.cpuid(entry.leaf, entry.subleaf ?? 0);
  const bits = (register: number) =>
    BigInt(((entry.direct[register] ?? 0) | ((entry.allow[register] ?? 0) & (native[register] ?? 0))) >>> 0);
  const first = (index & 1) * 2;
  return bits(first) | (bits(first + 1) << 32n);
}

/** Fields that are not zero. Zero are those of migration, service TDs, L2 VMs, handoff and FMS lists: this module has none of them. */
const READERS: Readonly<Record<string, Reader>> = {
  NUM_PKGS: ({ platform }) => platform.packages,
  PKG_FMS: ({ platform }, index) => (index < platform.packages ? platform.cpuid(1, 0)[0] >>> 0 : 0),
  VENDOR_ID: () => INTEL,
  MAJOR_VERSION: () => MODULE_VERSION.major,
  MINOR_VERSION: () => MODULE_VERSION.minor,
  UPDATE_VERSION: () => MODULE_VERSION.update,
  NUM_TDX_FEATURES: () => 1,
  TDX_FEATURES0: () => TDX_FEATURES0,
  NUM_CMRS: ({ platform }) => platform.cmrs.length,
  CMR_BASE: ({ platform }, index) => platform.cmrs[index]?.base ?? 0,
  CMR_SIZE: ({ platform }, index) => platform.cmrs[index]?.size ?? 0,
  MAX_TDMRS: () => MAX_TDMRS,
  MAX_RESERVED_PER_TDMR: () => MAX_RESERVED_AREAS,
  PAMT_4K_ENTRY_SIZE: () => PAMT_ENTRY_BYTES,
  PAMT_2M_ENTRY_SIZE: () => PAMT_ENTRY_BYTES,
  PAMT_1G_ENTRY_SIZE: () => PAMT_ENTRY_BYTES,
  TDR_BASE_SIZE: () => PAGE,
  TDCS_BASE_SIZE: () => MIN_TDCS_PAGES * PAGE,
  TDVPS_BASE_SIZE: () => MIN_TDVPS_PAGES * PAGE,
  ATTRIBUTES_FIXED0: ({ platform }) => attributesFixed0(platform.cpuid),
  XFAM_FIXED0: ({ platform }) => xfamFixed0(platform.cpuid),
  XFAM_FIXED1: () => XFAM_FIXED1,
  NUM_CPUID_CONFIG: () => CPUID_CONFIGURABLE.length,
  CONFIG_FLAGS_FIXED0: () => CONFIG_FLAGS_FIXED0,
  MAX_VCPUS_PER_TD: () => MAX_VCPUS_PER_TD,
  CPUID_CONFIG_LEAVES: (_module, index) => configLeaf(index),
  CPUID_CONFIG_VALUES: configValue,
  IA32_ARCH_CAPABILITIES_CONFIG_MASK: () => ARCH_CAPABILITIES_CONFIG_MASK,
};

/** The fields of the module, for TDH.SYS.RD and RDALL, TDG.SYS.RD and RDALL. Source: Intel TDX module 1.5 ABI specification, "Global-Scope Metadata Fields". */
export function sysFields(module: ModuleState): FieldStore {
  return {
    context: FieldContext.Sys,
    read: (row, index) => BigInt(READERS[row.name]?.(module, index) ?? 0),
    write: () => "METADATA_FIELD_NOT_WRITABLE",
  };
}
