/** struct kvm_cpuid_entry2: one CPUID leaf; registers are unsigned 32-bit. */
export interface CpuidEntry {
  readonly function: number;
  readonly index: number;
  /** Bit 0: the index matters. */
  readonly flags?: number;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/** KVM_CPUID_FLAG_SIGNIFCANT_INDEX. */
export const CPUID_FLAG_SIGNIFICANT_INDEX = 1;
/** KVM_MAX_CPUID_ENTRIES. */
export const MAX_CPUID_ENTRIES = 256;
/** Leaf whose EAX[23:16] is the width of guest-physical addresses. */
export const LEAF_ADDRESS_SIZES = 0x8000_0008;

const HLE_RTM = (1 << 4) | (1 << 11);
const WAITPKG = 1 << 5;

/** EAX of leaf 0x80000008 with `bits` as the width of guest-physical addresses. */
export function withGuestPhysBits(eax: number, bits: number): number {
  return ((eax & ~0x00ff_0000) | (bits << 16)) >>> 0;
}

export function guestPhysBits(eax: number): number {
  return (eax >>> 16) & 0xff;
}

const isFeatures = (entry: CpuidEntry): boolean => entry.function === 7 && entry.index === 0;

/** TSX and WAITPKG, which KVM cannot give to a TD: their MSRs are not switched. */
export function hasUnsupported(entry: CpuidEntry): boolean {
  return isFeatures(entry) && ((entry.ebx & HLE_RTM) !== 0 || (entry.ecx & WAITPKG) !== 0);
}

export function withoutUnsupported(entry: CpuidEntry): CpuidEntry {
  if (!isFeatures(entry)) return entry;
  return { ...entry, ebx: (entry.ebx & ~HLE_RTM) >>> 0, ecx: (entry.ecx & ~WAITPKG) >>> 0 };
}

/** kvm_find_cpuid_entry2 with an index: an entry whose index does not matter answers for all. */
export function findEntry(entries: readonly CpuidEntry[], leaf: number, index: number): CpuidEntry | undefined {
  return entries.find(
    (entry) =>
      entry.function === leaf && (((entry.flags ?? 0) & CPUID_FLAG_SIGNIFICANT_INDEX) === 0 || entry.index === index),
  );
}
