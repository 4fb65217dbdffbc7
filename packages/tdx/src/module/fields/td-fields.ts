import type { FieldStore, MetadataStatus } from "../../metadata/access.js";
import { parseCpuidFieldCode } from "../../metadata/cpuid-field.js";
import { FieldContext, parseFieldId } from "../../metadata/field-id.js";
import { CPUID_ROWS } from "../../tables/cpuid.js";
import type { FieldAccess, FieldRow } from "../../tables/fields.js";
import { ConfigFlag, cpuidKey, type Td, TdCtl } from "../td.js";
import { quadword } from "./words.js";

/** All four measurement registers, one after the other, six elements each. */
function rtmr(td: Td, index: number): bigint {
  return quadword(td.rtmrs[Math.floor(index / 6)] ?? new Uint8Array(), index % 6);
}

function cpuidValid(td: Td, index: number): bigint {
  const row = CPUID_ROWS[index];
  return row !== undefined && td.cpuid.has(cpuidKey(row.leaf, row.subleaf)) ? 1n : 0n;
}

function septRoot(td: Td, index: number): bigint {
  const words = td.sept?.root.words;
  return words === undefined ? 0n : (BigInt(words[2 * index + 1] ?? 0) << 32n) | BigInt(words[2 * index] ?? 0);
}

/** Fields that have a value in this module. All others are those of migration, service TDs, VMX capabilities for L2 VMs and module update: zero. */
const READERS: Readonly<Record<string, (td: Td, index: number) => bigint | number>> = {
  FATAL: (td) => (td.fatal ? 1 : 0),
  NUM_TDCX: (td) => td.tdcx.length,
  CHLDCNT: (td) => td.chldcnt,
  LIFECYCLE_STATE: (td) => td.lifecycle,
  TDCX_PA: (td, index) => td.tdcx[index] ?? 0,
  TD_UUID: (td, index) => quadword(td.uuid, index),
  PRE_IMPORT_UUID: (td, index) => quadword(td.uuid, index),
  HKID: (td) => td.hkid,
  PKG_CONFIG_BITMAP: (td) => td.packagesConfigured >>> 0,
  NUM_VCPUS: (td) => td.numVcpus,
  NUM_ASSOC_VCPUS: (td) => td.numAssociatedVcpus,
  OP_STATE: (td) => td.opState,
  NUM_L2_VMS: (td) => td.numL2Vms,
  ATTRIBUTES: (td) => td.attributes,
  XFAM: (td) => td.xfam,
  MAX_VCPUS: (td) => td.maxVcpus,
  GPAW: (td) => (td.gpaw ? 1 : 0),
  EPTP: (td) => td.eptpControls | BigInt(td.sept?.root.hpa ?? 0),
  TSC_OFFSET: (td) => td.tscOffset,
  TSC_MULTIPLIER: (td) => td.tscMultiplier,
  TSC_FREQUENCY: (td) => td.tscFrequency,
  NUM_CPUID_VALUES: () => CPUID_ROWS.length,
  NOTIFY_ENABLES: (td) => td.notifyEnables,
  HP_LOCK_TIMEOUT: (td) => td.hpLockTimeout,
  CONFIG_FLAGS: (td) => td.configFlags,
  TD_CTLS: (td) => td.tdCtls,
  TOPOLOGY_ENUM_CONFIGURED: (td) => (td.topologyEnumConfigured ? 1 : 0),
  CPUID_VALID: cpuidValid,
  TD_EPOCH: (td) => td.epoch.current,
  REFCOUNT: (td, index) => td.epoch.running[index] ?? 0,
  MRTD: (td, index) => quadword(td.mrtd, index),
  MRCONFIGID: (td, index) => quadword(td.mrConfigId, index),
  MROWNER: (td, index) => quadword(td.mrOwner, index),
  MROWNERCONFIG: (td, index) => quadword(td.mrOwnerConfig, index),
  RTMR: rtmr,
  SERVTD_HASH: (td, index) => quadword(td.servTdHash, index),
  VIRTUAL_IA32_ARCH_CAPABILITIES: (td) => td.archCapabilities,
  SEPT_ROOT: septRoot,
};

/** Two elements for every leaf: EAX and EBX, ECX and EDX. */
function cpuidValues(td: Td, id: bigint): bigint | MetadataStatus {
  const { element, row, reserved } = parseCpuidFieldCode(parseFieldId(id).fieldCode);
  if (reserved || row === undefined) return "METADATA_FIELD_ID_INCORRECT";
  const values = td.cpuid.get(cpuidKey(row.leaf, row.subleaf));
  if (row.faulting || values === undefined) return "METADATA_FIELD_NOT_READABLE";
  const [low, high] = element === 0 ? [values[0], values[1]] : [values[2], values[3]];
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

function writeTdCtls(td: Td, value: bigint, access: FieldAccess): MetadataStatus {
  const changed = value ^ td.tdCtls;
  const flexible = (td.configFlags & ConfigFlag.FLEXIBLE_PENDING_VE) !== 0n;
  if (access === "guest" && (changed & TdCtl.PENDING_VE_DISABLE) !== 0n && !flexible)
    return "METADATA_FIELD_VALUE_NOT_VALID";
  if ((changed & value & TdCtl.ENUM_TOPOLOGY) !== 0n && !td.topologyEnumConfigured)
    return "METADATA_FIELD_VALUE_NOT_VALID";
  td.tdCtls = value;
  return "SUCCESS";
}

/** Microseconds that HP_LOCK_TIMEOUT may be. */
const MIN_TIMEOUT = 10_000n;
const MAX_TIMEOUT = 100_000_000n;
const ALL_BITS = (1n << 64n) - 1n;

function writeTimeout(td: Td, value: bigint, mask: bigint): MetadataStatus {
  if (mask !== ALL_BITS) return "METADATA_WR_MASK_NOT_VALID";
  if (value < MIN_TIMEOUT || value > MAX_TIMEOUT) return "METADATA_FIELD_VALUE_NOT_VALID";
  td.hpLockTimeout = Number(value);
  return "SUCCESS";
}

/** The fields of a TD, for TDH.MNG.RD and WR, TDG.VM.RD and WR. Source: Intel TDX module 1.5 ABI specification, "TD-Scope Metadata Fields". */
export function tdFields(td: Td): FieldStore {
  return {
    context: FieldContext.Td,
    read: (row: FieldRow, index, id) =>
      row.name === "CPUID_VALUES" ? cpuidValues(td, id) : BigInt(READERS[row.name]?.(td, index) ?? 0),
    write: (row, _index, value, mask, access) => {
      if (row.name === "TD_CTLS") return writeTdCtls(td, value, access);
      if (row.name === "HP_LOCK_TIMEOUT") return writeTimeout(td, value, mask);
      if (row.name !== "NOTIFY_ENABLES") return "METADATA_FIELD_NOT_WRITABLE";
      td.notifyEnables = value;
      return "SUCCESS";
    },
  };
}
