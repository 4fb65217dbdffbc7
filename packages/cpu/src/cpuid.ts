import type { CpuidPort, CpuidResult } from "./ports.js";

/** One leaf; without `subleaf` it answers every subleaf. */
export interface CpuidLeaf extends CpuidResult {
  readonly leaf: number;
  readonly subleaf?: number;
}

/** Bits from their positions. */
const bits = (...positions: number[]): number => positions.reduce((mask, bit) => mask | (1 << bit), 0);
/** Twelve characters as EBX, EDX, ECX (or another order, by the caller) of a vendor leaf. */
const text = (s: string, at: number): number =>
  s.charCodeAt(at) | (s.charCodeAt(at + 1) << 8) | (s.charCodeAt(at + 2) << 16) | (s.charCodeAt(at + 3) << 24);
const brand = "Virtual x86-64 CPU in WebAssembly".padEnd(48, "\0");

/** Leaf 1 EDX: FPU DE PSE TSC MSR PAE CX8 APIC SEP PGE CMOV PAT CLFSH MMX FXSR SSE SSE2 SS. */
const FEATURES_EDX = bits(0, 2, 3, 4, 5, 6, 8, 9, 11, 13, 15, 16, 19, 23, 24, 25, 26, 27);
/** Leaf 1 ECX: SSE3 PCLMULQDQ SSSE3 CX16 PCID SSE4.1 SSE4.2 x2APIC MOVBE POPCNT TSC-deadline AES XSAVE RDRAND hypervisor. */
const FEATURES_ECX = bits(0, 1, 9, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 30, 31);
/** Leaf 7 EBX: FSGSBASE TSC_ADJUST SMEP ERMS INVPCID RDSEED ADX SMAP CLFLUSHOPT CLWB SHA. */
const EXTENDED_EBX = bits(0, 1, 7, 9, 10, 18, 19, 20, 23, 24, 29);
/** Leaf 7 ECX: UMIP PKU RDPID. */
const EXTENDED_ECX = bits(2, 3, 22);
/** Leaf 7 EDX: FSRM, IBRS and IBPB, ARCH_CAPABILITIES. */
const EXTENDED_EDX = bits(4, 26, 29);

/**
 * The default CPU: GenuineIntel (leaves 0x15 and 0x16 are read only for Intel), one TSC tick a nanosecond, a KVM signature without
 * paravirtual features. SDM vol. 2, CPUID.
 */
export const DEFAULT_CPUID: readonly CpuidLeaf[] = [
  { leaf: 0, eax: 0x16, ebx: text("Genu", 0), ecx: text("ntel", 0), edx: text("ineI", 0) },
  // Family 6, model 0x5c, stepping 10: of a line that never had AVX (decision 8). CLFLUSH line of 64 bytes.
  { leaf: 1, eax: 0x000506ca, ebx: 0x00010800, ecx: FEATURES_ECX, edx: FEATURES_EDX },
  // No cache descriptors: see leaf 4.
  { leaf: 2, eax: 0x00feff01, ebx: 0xf0, ecx: 0, edx: 0 },
  // 32 KiB L1 data and instruction, 1 MiB L2: type, level, ways, lines.
  { leaf: 4, subleaf: 0, eax: 0x121, ebx: (7 << 22) | 63, ecx: 63, edx: 0 },
  { leaf: 4, subleaf: 1, eax: 0x122, ebx: (7 << 22) | 63, ecx: 63, edx: 0 },
  { leaf: 4, subleaf: 2, eax: 0x143, ebx: (15 << 22) | 63, ecx: 1023, edx: 0 },
  // ARAT: the APIC timer never stops.
  { leaf: 6, eax: bits(2), ebx: 0, ecx: 0, edx: 0 },
  { leaf: 7, subleaf: 0, eax: 0, ebx: EXTENDED_EBX, ecx: EXTENDED_ECX, edx: EXTENDED_EDX },
  // One thread a core, one core a package.
  { leaf: 0xb, subleaf: 0, eax: 0, ebx: 1, ecx: 0x100, edx: 0 },
  { leaf: 0xb, subleaf: 1, eax: 0, ebx: 1, ecx: 0x201, edx: 0 },
  // XSAVE: x87, SSE and PKRU; the size in EBX is for what XCR0 enables. XSAVEOPT XSAVEC XGETBV(1) XSAVES. PKRU: 8 bytes after the header.
  { leaf: 0xd, subleaf: 0, eax: 0x203, ebx: 576, ecx: 584, edx: 0 },
  { leaf: 0xd, subleaf: 1, eax: bits(0, 1, 2, 3), ebx: 576, ecx: 0, edx: 0 },
  { leaf: 0xd, subleaf: 9, eax: 8, ebx: 576, ecx: 0, edx: 0 },
  // TSC = crystal x 1/1, crystal = 1 GHz; base, maximum and bus frequency in MHz.
  { leaf: 0x15, eax: 1, ebx: 1, ecx: 1_000_000_000, edx: 0 },
  { leaf: 0x16, eax: 1000, ebx: 1000, ecx: 100, edx: 0 },
  { leaf: 0x40000000, eax: 0x40000001, ebx: text("KVMK", 0), ecx: text("VMKV", 0), edx: text("M\0\0\0", 0) },
  { leaf: 0x40000001, eax: 0, ebx: 0, ecx: 0, edx: 0 },
  { leaf: 0x80000000, eax: 0x80000008 | 0, ebx: 0, ecx: 0, edx: 0 },
  // LAHF, LZCNT is not offered, PREFETCHW; SYSCALL NX 1 GiB pages RDTSCP LM.
  { leaf: 0x80000001, eax: 0, ebx: 0, ecx: bits(0, 8), edx: bits(11, 20, 26, 27, 29) },
  ...[0, 16, 32].map((at, k) => ({
    leaf: 0x80000002 + k,
    eax: text(brand, at),
    ebx: text(brand, at + 4),
    ecx: text(brand, at + 8),
    edx: text(brand, at + 12),
  })),
  { leaf: 0x80000006, eax: 0, ebx: 0, ecx: 0x04006040, edx: 0 },
  // Invariant TSC.
  { leaf: 0x80000007, eax: 0, ebx: 0, ecx: 0, edx: bits(8) },
  // 40 physical, 48 linear address bits.
  { leaf: 0x80000008, eax: 0x3028, ebx: 0, ecx: 0, edx: 0 },
];

const NONE: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

/** CPUID answered from a list of leaves; what is not listed reads as zero, as hardware has it for reserved leaves. */
export class CpuidTable implements CpuidPort {
  readonly #leaves = new Map<number, CpuidLeaf[]>();

  constructor(leaves: readonly CpuidLeaf[] = DEFAULT_CPUID) {
    for (const leaf of leaves) {
      const key = leaf.leaf >>> 0;
      const list = this.#leaves.get(key);
      if (list === undefined) this.#leaves.set(key, [leaf]);
      else list.push(leaf);
    }
  }

  /** Whether the list names a leaf. */
  has(leaf: number): boolean {
    return this.#leaves.has(leaf >>> 0);
  }

  query(leaf: number, subleaf: number): CpuidResult {
    const list = this.#leaves.get(leaf >>> 0);
    return list?.find((entry) => entry.subleaf === undefined || entry.subleaf === subleaf) ?? NONE;
  }
}
