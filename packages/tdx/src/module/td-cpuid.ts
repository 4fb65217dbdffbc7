import { CPUID_CONFIGURABLE, CPUID_ROWS, CPUID_XFAM_MASKS, type CpuidRow } from "../tables/cpuid.js";
import { Attribute, type CpuidValues, cpuidKey } from "./td.js";

/** What CPUID of a TD is made of. */
export interface CpuidInputs {
  /** CPUID as the processor has it. */
  native(leaf: number, subleaf: number): CpuidValues;
  /** TD_PARAMS.CPUID_CONFIG: one entry for every {@link CPUID_CONFIGURABLE}; what is missing is zero. */
  readonly config: readonly CpuidValues[];
  readonly attributes: bigint;
  readonly xfam: bigint;
  /** Units of 25 MHz. */
  readonly tscFrequency: number;
  /** Bits of a guest physical address. */
  readonly gpaBits: 48 | 52;
}

/** The CPUID_CONFIG entry that asks for a bit which is not configurable, or for another processor. */
export class CpuidConfigError extends Error {
  readonly code = "TDX_CPUID_CONFIG";
  constructor(
    readonly leaf: number,
    readonly subleaf: number | undefined,
  ) {
    super(`CPUID_CONFIG of leaf 0x${leaf.toString(16)} sets bits that a TD cannot have`);
  }

  /** As RCX of TDH.MNG.INIT has it: leaf in 31:0, subleaf in 63:32. */
  get leafAndSubleaf(): bigint {
    return (BigInt(this.subleaf ?? 0xffff_ffff) << 32n) | BigInt(this.leaf);
  }
}

const PKS = 31;
const LAST_XFAM_BIT = 18;
const ZERO: CpuidValues = [0, 0, 0, 0];
const u32 = (values: readonly number[]): CpuidValues => values.map((value) => value >>> 0) as unknown as CpuidValues;
const each = (change: (register: number) => number): CpuidValues => u32([0, 1, 2, 3].map(change));
const at = (values: CpuidValues, register: number): number => values[register] ?? 0;
const hasXfam = (xfam: bigint, bit: number): boolean => ((xfam >> BigInt(bit)) & 1n) === 1n;

/** The native values with the fixed bits, and what the VMM configured. Bits that the processor does not have stay zero even where Intel's module demands them. */
function configured(row: CpuidRow, { native, config }: CpuidInputs): CpuidValues {
  const values = native(row.leaf, row.subleaf ?? 0);
  const fixed = each((r) => (at(values, r) & ~at(row.fixed0, r)) | at(row.fixed1, r));
  const rule = row.config === undefined ? undefined : CPUID_CONFIGURABLE[row.config];
  if (rule === undefined || row.config === undefined) return fixed;
  const wanted = config[row.config] ?? ZERO;
  const { direct, allow } = rule;
  const isLegal = [0, 1, 2, 3].every((r) => (at(wanted, r) & ~(at(direct, r) | at(allow, r))) === 0);
  if (!isLegal) throw new CpuidConfigError(row.leaf, row.subleaf);
  return each((r) => {
    const kept = (at(fixed, r) & ~at(direct, r)) | (at(wanted, r) & at(direct, r));
    return kept & (at(wanted, r) | ~at(allow, r));
  });
}

/** Size of the standard XSAVE area for all components of XFAM: 512 bytes, the header's 64, then each at its own offset. */
function xsaveSize({ native, xfam }: CpuidInputs): number {
  let size = 576;
  for (let bit = 2; bit <= LAST_XFAM_BIT; bit++) {
    if (!hasXfam(xfam, bit)) continue;
    const [length, offset] = native(0xd, bit);
    if (offset !== 0) size = Math.max(size, offset + length);
  }
  return size;
}

/** A row whose bits depend on ATTRIBUTES, XFAM and the TSC frequency. */
function conditional(row: CpuidRow, values: CpuidValues, inputs: CpuidInputs): CpuidValues {
  const { attributes, xfam, tscFrequency, native } = inputs;
  const [eax, ebx, ecx, edx] = values;
  const has = (bit: number) => hasXfam(xfam, bit);
  switch (row.leaf) {
    case 1: {
      const own = native(1, 0)[0];
      // Zero is the processor's own family, model and stepping; another processor's cannot be shown.
      if (eax !== 0 && eax !== own) throw new CpuidConfigError(row.leaf, row.subleaf);
      return u32([own, ebx, ecx, edx]);
    }
    case 7:
      if (row.subleaf !== 0) return values;
      // Intel's module offers PKS to a TD that has the attribute; here only if the processor has it, too.
      return u32([eax, ebx, (attributes & Attribute.PKS) === 0n ? ecx & ~(1 << PKS) : ecx, edx]);
    case 0xa:
    case 0x23:
      return (attributes & Attribute.PERFMON) === 0n ? ZERO : values;
    case 0xd:
      if (row.subleaf === 0) return u32([eax, ebx, xsaveSize(inputs), edx]);
      return row.subleaf !== undefined && row.subleaf > 1 && !has(row.subleaf) ? ZERO : values;
    case 0x14:
      return has(8) ? values : ZERO;
    case 0x15:
      return u32([eax, tscFrequency, ecx, edx]);
    case 0x19:
      return ZERO;
    case 0x8000_0008:
      // The shared bit has to be a legal bit of a page table entry; processors with TDX have 52 bits, this one may have fewer.
      return u32([(eax & ~0xff) | Math.max(eax & 0xff, inputs.gpaBits), ebx, ecx, edx]);
    case 0x1c:
      return has(15) ? values : ZERO;
    case 0x1d:
    case 0x1e:
      return has(17) && has(18) ? values : ZERO;
    default:
      return values;
  }
}

/**
 * What CPUID answers in a TD, by {@link cpuidKey}, before what depends on the vCPU's state. Leaves that always cause #VE are not there. Source: Intel TDX
 * module 1.5 ABI specification, "CPUID Virtualization". What Intel's module demands of its processor and this one lacks (MWAIT, AVX, a PMU) reads as zero.
 * @throws {CpuidConfigError}
 */
export function computeTdCpuid(inputs: CpuidInputs): Map<number, CpuidValues> {
  const result = new Map<number, CpuidValues>();
  for (const row of CPUID_ROWS) {
    if (row.faulting) continue;
    let values = conditional(row, configured(row, inputs), inputs);
    for (const { row: masked, xfamBit, mask } of CPUID_XFAM_MASKS)
      if (masked === row && !hasXfam(inputs.xfam, xfamBit)) {
        const before = values;
        values = each((r) => at(before, r) & ~at(mask, r));
      }
    result.set(cpuidKey(row.leaf, row.subleaf), values);
  }
  // MONITOR and MWAIT: without the one in leaf 1, leaf 5 says nothing.
  if (((result.get(cpuidKey(1))?.[2] ?? 0) & (1 << 3)) === 0) result.set(cpuidKey(5), ZERO);
  return result;
}
