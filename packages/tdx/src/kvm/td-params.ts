import { ATTRIBUTE_SEPT_VE_DISABLE } from "../tables/attributes.js";
import {
  type CpuidEntry,
  findEntry,
  guestPhysBits,
  hasUnsupported,
  LEAF_ADDRESS_SIZES,
  withGuestPhysBits,
} from "./cpuid-entry.js";
import { KvmTdxError } from "./errors.js";
import type { TdxSysInfo } from "./sys-info.js";

/** struct kvm_tdx_init_vm. */
export interface InitVm {
  /** TD attributes: of those that {@link TdxCapabilities} has. */
  readonly attributes: bigint;
  /** Extended features that the TD may use, as XCR0 and XSS have them. */
  readonly xfam: bigint;
  /** 48 bytes each; zeros if left out. */
  readonly mrconfigid?: Uint8Array;
  readonly mrowner?: Uint8Array;
  readonly mrownerconfig?: Uint8Array;
  /** All 0. */
  readonly reserved?: readonly bigint[];
  readonly cpuid: { readonly padding?: number; readonly entries: readonly CpuidEntry[] };
}

/** TD attributes that KVM lets a process choose. */
const SUPPORTED_ATTRIBUTES = ATTRIBUTE_SEPT_VE_DISABLE;

const BYTES = 1024;
const CPUID_VALUES = 256;
const EPTP_MEMORY_TYPE_WB = 6n;
const EPTP_PWL_4 = 3n << 3n;
const EPTP_PWL_5 = 4n << 3n;
const CONFIG_GPAW_52 = 1n;
const CONFIG_NO_RBP_MOD = 4n;
/** Units of TSC_FREQUENCY in kHz. */
const CRYSTAL_KHZ = 25_000;

/** Attributes that a TD of this host can have; 0 if KVM and the module have no common ground. */
export function supportedAttributes({ attributesFixed0, attributesFixed1 }: TdxSysInfo): bigint {
  if ((SUPPORTED_ATTRIBUTES & attributesFixed1) !== attributesFixed1) return 0n;
  return SUPPORTED_ATTRIBUTES & attributesFixed0;
}

/** The same of XFAM, of what the processor `can`. */
export function supportedXfam({ xfamFixed0, xfamFixed1 }: TdxSysInfo, can: bigint): bigint {
  return (can & xfamFixed1) === xfamFixed1 ? can & xfamFixed0 : 0n;
}

export interface TdParams {
  /** The 1024 bytes that TDH.MNG.INIT reads. */
  readonly bytes: Uint8Array;
  readonly attributes: bigint;
  readonly xfam: bigint;
  /** Width of guest-physical addresses, 48 or 52: the highest bit means shared. */
  readonly gpaw: 48 | 52;
}

/** setup_tdparams. @throws KvmTdxError EINVAL */
export function setupTdParams(
  init: InitVm,
  sysInfo: TdxSysInfo,
  host: { readonly supportedXfam: bigint; readonly maxVcpus: number; readonly tscKhz: number },
): TdParams {
  const attributes = checked("attributes", init.attributes, supportedAttributes(sysInfo)) | sysInfo.attributesFixed1;
  const xfam = checked("xfam", init.xfam, supportedXfam(sysInfo, host.supportedXfam)) | sysInfo.xfamFixed1;
  const gpaw = gpawOf(init.cpuid.entries);
  const bytes = new Uint8Array(BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, attributes, true);
  view.setBigUint64(8, xfam, true);
  view.setUint16(16, host.maxVcpus, true);
  view.setBigUint64(24, EPTP_MEMORY_TYPE_WB | (gpaw === 52 ? EPTP_PWL_5 : EPTP_PWL_4), true);
  view.setBigUint64(32, CONFIG_NO_RBP_MOD | (gpaw === 52 ? CONFIG_GPAW_52 : 0n), true);
  view.setUint16(40, Math.floor(host.tscKhz / CRYSTAL_KHZ), true);
  const digests = [init.mrconfigid, init.mrowner, init.mrownerconfig];
  digests.forEach((digest, k) => {
    if (digest === undefined) return;
    if (digest.length !== 48) throw new KvmTdxError("EINVAL", `a digest of ${digest.length} bytes; 48`);
    bytes.set(digest, 80 + 48 * k);
  });
  writeCpuid(view, init.cpuid.entries, sysInfo.cpuidConfig);
  return { bytes, attributes, xfam, gpaw };
}

function checked(what: string, value: bigint, supported: bigint): bigint {
  if ((value & ~supported) === 0n) return value;
  throw new KvmTdxError("EINVAL", `${what} 0x${value.toString(16)}; supported is 0x${supported.toString(16)}`);
}

/** setup_tdparams_eptp_controls. */
function gpawOf(entries: readonly CpuidEntry[]): 48 | 52 {
  const entry = findEntry(entries, LEAF_ADDRESS_SIZES, 0);
  const bits = entry === undefined ? undefined : guestPhysBits(entry.eax);
  if (bits === 48 || bits === 52) return bits;
  throw new KvmTdxError("EINVAL", `CPUID 0x80000008 EAX[23:16] is ${bits}; 48 or 52`);
}

/** setup_tdparams_cpuids: every entry has to have its place, for the module cannot say anything about those it does not see. */
function writeCpuid(view: DataView, entries: readonly CpuidEntry[], config: TdxSysInfo["cpuidConfig"]): void {
  let copied = 0;
  config.forEach((leaf, k) => {
    const entry = findEntry(entries, leaf.function, leaf.index);
    if (entry === undefined) return;
    if (hasUnsupported(entry)) throw new KvmTdxError("EINVAL", "TSX and WAITPKG cannot be given to a TD");
    copied++;
    const eax = leaf.function === LEAF_ADDRESS_SIZES ? withGuestPhysBits(entry.eax, 0) : entry.eax;
    [eax, entry.ebx, entry.ecx, entry.edx].forEach(
      (value, register) => void view.setUint32(CPUID_VALUES + 16 * k + 4 * register, value, true),
    );
  });
  if (copied !== entries.length)
    throw new KvmTdxError("EINVAL", `${entries.length - copied} CPUID entries are not configurable`);
}
