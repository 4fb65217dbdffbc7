import { CPUID_CONFIGURABLE } from "../tables/cpuid.js";
import { archCapabilities } from "./arch-capabilities.js";
import { attributesFixed0, CONFIG_FLAGS_FIXED0, isXfamValid } from "./capabilities.js";
import type { PlatformDesc } from "./platform.js";
import { OperandId, Status, withOperand } from "./status.js";
import { ConfigFlag, type CpuidValues, MEASUREMENT_BYTES } from "./td.js";
import { CpuidConfigError, computeTdCpuid } from "./td-cpuid.js";

/** Bytes of TD_PARAMS, and its alignment. */
export const TD_PARAMS_BYTES = 1024;
const CPUID_CONFIG = 256;
const EPTP_WRITE_BACK = 6n;
const PWL_SHIFT = 3n;
/** 25 MHz units: 100 MHz to 10 GHz. */
const TSC_MIN = 4;
const TSC_MAX = 400;
/** Physical addresses with fewer bits have no use for a fifth level. */
const MIN_PA_FOR_PML5 = 49;

/** What a TD is to be like, as a host asked for and a module can do. */
export interface TdParams {
  readonly attributes: bigint;
  readonly xfam: bigint;
  /** 1 to 65535. */
  readonly maxVcpus: number;
  readonly msrConfigCtls: number;
  readonly eptpControls: bigint;
  readonly levels: 4 | 5;
  readonly configFlags: bigint;
  /** Units of 25 MHz. */
  readonly tscFrequency: number;
  readonly mrConfigId: Uint8Array;
  readonly mrOwner: Uint8Array;
  readonly mrOwnerConfig: Uint8Array;
  readonly archCapabilities: bigint;
  readonly cpuid: ReadonlyMap<number, CpuidValues>;
}

/** Why a TD cannot be like that. */
export interface TdParamsRefusal {
  readonly status: bigint;
  /** For RCX: the CPUID leaf and subleaf that were wrong, else 0. */
  readonly extended: bigint;
}

const refuse = (operand: OperandId, extended = 0n): TdParamsRefusal => ({
  status: withOperand(Status.OPERAND_INVALID, operand),
  extended,
});

/** Levels of the secure EPT, or undefined. */
function levelsOf(eptp: bigint, configFlags: bigint, { maxPhysAddr }: PlatformDesc): 4 | 5 | undefined {
  const levels = Number(eptp >> PWL_SHIFT) + 1;
  if ((eptp & 7n) !== EPTP_WRITE_BACK || (levels !== 4 && levels !== 5)) return undefined;
  if (levels === 5 && maxPhysAddr < MIN_PA_FOR_PML5) return undefined;
  return levels === 4 && (configFlags & ConfigFlag.GPAW) !== 0n ? undefined : levels;
}

/** Values of CPUID, or the refusal. */
function cpuidOf(
  view: DataView,
  platform: PlatformDesc,
  inputs: { attributes: bigint; xfam: bigint; tscFrequency: number; gpaBits: 48 | 52 },
): Map<number, CpuidValues> | TdParamsRefusal {
  const config = CPUID_CONFIGURABLE.map((_, i) => {
    const at = CPUID_CONFIG + 16 * i;
    return [0, 4, 8, 12].map((offset) => view.getUint32(at + offset, true)) as unknown as CpuidValues;
  });
  const native = (leaf: number, subleaf: number) => platform.cpuid(leaf, subleaf);
  try {
    return computeTdCpuid({ ...inputs, native, config });
  } catch (error) {
    if (error instanceof CpuidConfigError) return refuse(OperandId.CpuidConfig, error.leafAndSubleaf);
    throw error;
  }
}

/**
 * Reads TD_PARAMS, in the order of checks that TDH.MNG.INIT has. Source: Intel TDX module 1.5 ABI specification, "TD_PARAMS".
 * @param bytes the 1024 bytes; whatever is in them
 */
export function readTdParams(bytes: Uint8Array, platform: PlatformDesc): TdParams | TdParamsRefusal {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isZero = (from: number, to: number) => bytes.subarray(from, to).every((byte) => byte === 0);
  const measurement = (at: number) => bytes.slice(at, at + MEASUREMENT_BYTES);
  const attributes = view.getBigUint64(0, true);
  if ((attributes & ~attributesFixed0(platform.cpuid)) !== 0n) return refuse(OperandId.Attributes);
  const xfam = view.getBigUint64(8, true);
  if (!isXfamValid(xfam, platform.cpuid)) return refuse(OperandId.Xfam);
  const maxVcpus = view.getUint16(16, true);
  if (maxVcpus === 0) return refuse(OperandId.MaxVcpus);
  // Intel's module has up to three L2 VMs.
  if (view.getUint8(18) !== 0) return refuse(OperandId.NumL2Vms);
  if (!isZero(20, 24)) return refuse(OperandId.Rdx);
  const configFlags = view.getBigUint64(32, true);
  if ((configFlags & ~CONFIG_FLAGS_FIXED0) !== 0n) return refuse(OperandId.ExecControls);
  const eptpControls = view.getBigUint64(24, true);
  const levels = levelsOf(eptpControls, configFlags, platform);
  if (levels === undefined) return refuse(OperandId.EptpControls);
  const tscFrequency = view.getUint16(40, true);
  if (tscFrequency < TSC_MIN || tscFrequency > TSC_MAX) return refuse(OperandId.TscFrequency);
  const msrConfigCtls = view.getUint8(19);
  if (!isZero(42, 80) || msrConfigCtls > 1 || !isZero(232, CPUID_CONFIG)) return refuse(OperandId.Rdx);
  const cpuid = cpuidOf(view, platform, {
    attributes,
    xfam,
    tscFrequency,
    gpaBits: (configFlags & ConfigFlag.GPAW) === 0n ? 48 : 52,
  });
  if (!(cpuid instanceof Map)) return cpuid;
  if (!isZero(CPUID_CONFIG + 16 * CPUID_CONFIGURABLE.length, TD_PARAMS_BYTES)) return refuse(OperandId.Rdx);
  const config = view.getBigUint64(224, true);
  const capabilities =
    msrConfigCtls === 0 && config !== 0n ? undefined : archCapabilities(platform.archCapabilities ?? 0n, config);
  if (capabilities === undefined) return refuse(OperandId.Ia32ArchCapabilitiesConfig);
  return {
    attributes,
    xfam,
    maxVcpus,
    msrConfigCtls,
    eptpControls,
    levels,
    configFlags,
    tscFrequency,
    mrConfigId: measurement(80),
    mrOwner: measurement(128),
    mrOwnerConfig: measurement(176),
    archCapabilities: capabilities,
    cpuid,
  };
}
