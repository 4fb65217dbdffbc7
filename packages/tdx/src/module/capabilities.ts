import type { PlatformDesc } from "./platform.js";
import { Attribute, ConfigFlag } from "./td.js";

/** Version of the ABI: Intel's 1.5.01 is what this module follows, update 5 is the first with TOPOLOGY_ENUM. */
export const MODULE_VERSION = { major: 1, minor: 5, update: 5 } as const;

/**
 * TDX_FEATURES0: what the module can do. Source: Intel TDX module 1.5 ABI specification, "TDX_FEATURES0"; bit 20 of later modules. No TD migration (0),
 * preserving (1), service TDs (2), partitioning (7).
 */
export const TDX_FEATURES0 = [
  3, // TDG_VP_RDWR
  4, // RELAXED_MEM_MNG_CONCURRENCY
  5, // CPUID_VIRT_GUEST_CTRL
  8, // LOCAL_ATTESTATION
  9, // TD_ENTRY_ENHANCEMENTS
  10, // HOST_PRIORITY_LOCKS
  11, // CONFIG_IA32_ARCH_CAP
  16, // PENDING_EPT_VIOLATION_V2
  18, // NO_RBP_MOD
  20, // TOPOLOGY_ENUM
].reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);

/** CONFIG_FLAGS that may be one. */
export const CONFIG_FLAGS_FIXED0 = ConfigFlag.GPAW | ConfigFlag.FLEXIBLE_PENDING_VE | ConfigFlag.NO_RBP_MOD;
/** Bits of IA32_ARCH_CAPABILITIES_CONFIG that may be one: SSB_NO, RRSBA, BHI_NO, PBRSB_NO. */
export const ARCH_CAPABILITIES_CONFIG_MASK = (1n << 4n) | (1n << 19n) | (1n << 20n) | (1n << 24n);
/** Most vCPUs of a TD. */
export const MAX_VCPUS_PER_TD = 576;

type Cpuid = PlatformDesc["cpuid"];
const PKS = 31;
/** What Intel's module knows of XCR0 and IA32_XSS; x87 and SSE are in every TD. */
const XFAM_KNOWN = 0x6_dbe7n;
/** XFAM bits that are one in every TD. */
export const XFAM_FIXED1 = 3n;

/** XCR0 and IA32_XSS bits that the processor has, low 32 of both. */
export function supportedXfeatures(cpuid: Cpuid): { xcr0: bigint; xss: bigint } {
  return { xcr0: BigInt(cpuid(0xd, 0)[0] >>> 0), xss: BigInt(cpuid(0xd, 1)[2] >>> 0) };
}

/** XFAM bits that a TD may have: those that Intel's module allows and this processor has. */
export function xfamFixed0(cpuid: Cpuid): bigint {
  const { xcr0, xss } = supportedXfeatures(cpuid);
  return XFAM_KNOWN & (xcr0 | xss);
}

/** ATTRIBUTES that a TD may have. Intel's module has PKS and PERFMON always, this one where the processor has them, and never MIGRATABLE. */
export function attributesFixed0(cpuid: Cpuid): bigint {
  const pks = (cpuid(7, 0)[2] & (1 << PKS)) !== 0 ? Attribute.PKS : 0n;
  const perfmon = (cpuid(0xa, 0)[0] & 0xff) !== 0 ? Attribute.PERFMON : 0n;
  return Attribute.DEBUG | Attribute.SEPT_VE_DISABLE | pks | perfmon;
}

const XFAM = { AVX: 2, AVX3: [5, 6, 7], CET_U: 11, CET_S: 12, AMX: [17, 18] } as const;

/** Whether XFAM has only legal bits and combinations of them, for this processor. */
export function isXfamValid(xfam: bigint, cpuid: Cpuid): boolean {
  const has = (bit: number) => ((xfam >> BigInt(bit)) & 1n) === 1n;
  const same = (list: readonly number[]) => new Set(list.map(has)).size === 1;
  if ((xfam & ~xfamFixed0(cpuid)) !== 0n || (xfam & XFAM_FIXED1) !== XFAM_FIXED1) return false;
  if (has(XFAM.AVX3[0]) && !has(XFAM.AVX)) return false;
  return same(XFAM.AVX3) && same([XFAM.CET_U, XFAM.CET_S]) && same(XFAM.AMX);
}

/** Whether the guest may load `value` into XCR0. Source: SDM vol. 1, 13.3. */
export function isXcr0Valid(value: bigint, xfam: bigint, cpuid: Cpuid): boolean {
  const has = (bit: number) => ((value >> BigInt(bit)) & 1n) === 1n;
  const same = (list: readonly number[]) => new Set(list.map(has)).size === 1;
  if ((value & ~(supportedXfeatures(cpuid).xcr0 & xfam)) !== 0n || !has(0)) return false;
  if ((has(XFAM.AVX) && !has(1)) || (has(XFAM.AVX3[0]) && !has(XFAM.AVX))) return false;
  return same(XFAM.AVX3) && same(XFAM.AMX);
}
