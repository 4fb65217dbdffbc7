import { Attribute, cpuidKey, type Td } from "../module/td.js";
import { findMsr, type MsrAccess, type MsrAnswer, type MsrFeature } from "../tables/msr.js";

/** MSR bitmaps have a bit for each of these; beyond them every access is #VE. */
const isInBitmap = (index: number): boolean => index < 0x2000 || (index >= 0xc000_0000 && index < 0xc000_2000);

const PERF_CAPABILITIES = 0x345;
const hasXfam = (td: Td, bit: number): boolean => ((td.xfam >> BigInt(bit)) & 1n) === 1n;

/** Whether CPUID offers a bit. @param register 0 EAX to 3 EDX */
function offers(td: Td, key: number, register: 0 | 1 | 2 | 3, bit: number): boolean {
  return (((td.cpuid.get(key)?.[register] ?? 0) >>> bit) & 1) === 1;
}

const hasPerfmon = (td: Td): boolean => (td.attributes & Attribute.PERFMON) !== 0n;

/** Features that make MSRs native. */
const FEATURES: Readonly<Record<MsrFeature, (td: Td, index: number) => boolean>> = {
  perfmon: hasPerfmon,
  "xfam-pt": (td) => hasXfam(td, 8),
  "xfam-cet": (td) => hasXfam(td, 11) || hasXfam(td, 12),
  "xfam-uli": (td) => hasXfam(td, 14),
  "xfam-lbr": (td) => hasXfam(td, 15),
  xfd: (td) => offers(td, cpuidKey(0xd, 1), 0, 4),
  umwait: (td) => offers(td, cpuidKey(7, 0), 2, 5),
  tsx: (td) => offers(td, cpuidKey(7, 0), 1, 4),
  pks: (td) => (td.attributes & Attribute.PKS) !== 0n,
  // IA32_PERF_CAPABILITIES and IA32_PERF_METRICS; no processor of ours has the latter.
  other: (td, index) => index === PERF_CAPABILITIES && hasPerfmon(td) && hasXfam(td, 8),
};

/** MSRs that are #VE where CPUID offers their feature, and #GP where it does not: the first and last of them, and the bit. */
const BY_CPUID: readonly [number, number, number, 0 | 1 | 2 | 3, number][] = [
  [0x1f8, 0x1fa, cpuidKey(1), 2, 18],
  [0x981, 0x984, cpuidKey(7, 0), 2, 13],
  [0x87, 0x87, cpuidKey(7, 0), 3, 18],
  [0x6e0, 0x6e0, cpuidKey(1), 2, 24],
];

function isOffered(td: Td, index: number): boolean {
  return BY_CPUID.some(
    ([first, last, key, register, bit]) => index >= first && index <= last && offers(td, key, register, bit),
  );
}

/** How an access to an MSR is answered in a TD. */
export function msrAnswer(td: Td, index: number, isWrite: boolean): Exclude<MsrAnswer, "gp-or-ve"> {
  const range = isInBitmap(index) ? findMsr(index) : undefined;
  if (range === undefined) return "ve";
  const { answer, feature }: MsrAccess = isWrite ? range.write : range.read;
  if (feature !== undefined && FEATURES[feature](td, index)) return "native";
  if (answer !== "gp-or-ve") return answer;
  return isOffered(td, index) ? "ve" : "gp";
}
