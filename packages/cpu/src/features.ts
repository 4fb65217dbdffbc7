import type { CpuidLeaf } from "./cpuid.js";
import type { CpuidResult } from "./ports.js";

/** A list of features that cannot be used; the message says what would be accepted. */
export class CpuFeatureError extends Error {
  override readonly name = "CpuFeatureError";
  /** A word that names no feature. */
  readonly code = "unknown-feature";
}

type Register = keyof CpuidResult;
/** Leaf, register, bits of it, subleaf (default 0). */
type Place = readonly [leaf: number, register: Register, mask: number, subleaf?: number];

const bit = (n: number): number => (1 << n) | 0;

/** PKRU's place in an XSAVE area: at its end, of which the size lacks bit 3 without it. */
const PKRU_OFFSET = 576;
const PKRU_SIZE = 8;

/**
 * Features that a processor may have or not, by their names in linux' /proc/cpuinfo. Without one its MSR and CR4 bits are reserved and its
 * instructions undefined. SDM vol. 2, CPUID; PKU is also state component 9 of leaf 0DH.
 */
const FEATURES: ReadonlyMap<string, readonly Place[]> = new Map(
  Object.entries<readonly Place[]>({
    fsgsbase: [[7, "ebx", bit(0)]],
    invpcid: [[7, "ebx", bit(10)]],
    la57: [[7, "ecx", bit(16)]],
    pcid: [[1, "ecx", bit(17)]],
    pku: [
      [7, "ecx", bit(3)],
      [0xd, "eax", bit(9)],
      [0xd, "ecx", PKRU_SIZE],
      [0xd, "eax", PKRU_SIZE, 9],
      [0xd, "ebx", PKRU_OFFSET, 9],
    ],
    smap: [[7, "ebx", bit(20)]],
    smep: [[7, "ebx", bit(7)]],
    tsc_adjust: [[7, "ebx", bit(1)]],
    umip: [[7, "ecx", bit(2)]],
    x2apic: [[1, "ecx", bit(21)]],
  }),
);

/** Linear-address width: EAX[15:8] of leaf 80000008H. */
const LINEAR_BITS = 0xff00;

/**
 * `leaves` with features added and taken away.
 * @param words `+name` and `-name`, separated by commas: "+la57,-pcid"
 * @throws {CpuFeatureError} for a word that is no such thing
 */
export function withFeatures(leaves: readonly CpuidLeaf[], words: string): readonly CpuidLeaf[] {
  let result = leaves;
  for (const word of words.split(",")) {
    const places = /^[+-]/.test(word) ? FEATURES.get(word.slice(1)) : undefined;
    if (places === undefined) {
      const names = [...FEATURES.keys()].join(", ");
      throw new CpuFeatureError(`"${word}" is no feature to add or take away: + or - and one of ${names}`);
    }
    const add = word.startsWith("+");
    for (const place of places) result = set(result, place, add ? place[2] : 0);
    if (word.slice(1) === "la57") result = set(result, [0x80000008, "eax", LINEAR_BITS], (add ? 57 : 48) << 8);
  }
  return result;
}

function set(leaves: readonly CpuidLeaf[], [leaf, register, mask, subleaf = 0]: Place, value: number) {
  return leaves.map((entry) =>
    entry.leaf === leaf && (entry.subleaf ?? 0) === subleaf
      ? { ...entry, [register]: (entry[register] & ~mask) | value }
      : entry,
  );
}
