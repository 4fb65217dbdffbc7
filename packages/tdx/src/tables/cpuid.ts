import table from "../../tables/cpuid.json";

/** EAX, EBX, ECX, EDX, each 0 to 2^32 - 1. */
export type CpuidRegisters = readonly [number, number, number, number];

/** A leaf, or one subleaf of it, that the module knows. */
export interface CpuidRow {
  /** Place in the module's table: the order of metadata iteration. */
  readonly index: number;
  readonly leaf: number;
  /** Undefined: the row is for all subleaves. */
  readonly subleaf: number | undefined;
  /** Reading it is always #VE. */
  readonly faulting: boolean;
  /** Bits that always read as one, and as zero unless the module sets them at run time. */
  readonly fixed1: CpuidRegisters;
  readonly fixed0: CpuidRegisters;
  /** Place of its values in TD_PARAMS.CPUID_CONFIG. */
  readonly config: number | undefined;
}

/** A leaf that the VMM configures with TD_PARAMS.CPUID_CONFIG. */
export interface CpuidConfigurable {
  readonly leaf: number;
  readonly subleaf: number | undefined;
  /** Bits that have whatever value the VMM gives them. */
  readonly direct: CpuidRegisters;
  /** Bits that the VMM may take away from what the processor has. */
  readonly allow: CpuidRegisters;
}

type Texts = string[] | number;
const NOTHING: CpuidRegisters = [0, 0, 0, 0];
const registers = (texts: Texts): CpuidRegisters =>
  typeof texts === "number" ? NOTHING : (texts.map(Number) as unknown as CpuidRegisters);
const subleafOf = (text: string): number | undefined => (text === "" ? undefined : Number(text));

/** What TD_PARAMS.CPUID_CONFIG configures, in its order. Source: Intel TDX module 1.5 ABI specification, "CPUID Virtualization". */
export const CPUID_CONFIGURABLE: readonly CpuidConfigurable[] = (
  table.configurable as [string, string, Texts, Texts][]
).map(([leaf, subleaf, direct, allow]) => ({
  leaf: Number(leaf),
  subleaf: subleafOf(subleaf),
  direct: registers(direct),
  allow: registers(allow),
}));

/** All rows in the module's order. Same source. */
export const CPUID_ROWS: readonly CpuidRow[] = (table.leaves as [string, string, string, Texts, Texts][]).map(
  ([leafText, subleafText, faulting, fixed1, fixed0], index) => {
    const leaf = Number(leafText);
    const subleaf = subleafOf(subleafText);
    const config = CPUID_CONFIGURABLE.findIndex((row) => row.leaf === leaf && row.subleaf === subleaf);
    return {
      index,
      leaf,
      subleaf,
      faulting: faulting !== "",
      fixed1: registers(fixed1),
      fixed0: registers(fixed0),
      config: config < 0 ? undefined : config,
    };
  },
);

/** Bits that read as zero unless XFAM has `xfamBit`. Same source. */
export const CPUID_XFAM_MASKS: readonly {
  readonly row: CpuidRow;
  readonly xfamBit: number;
  readonly mask: CpuidRegisters;
}[] = (table.xfam as [string, string, number, Texts][]).flatMap(([leaf, subleaf, xfamBit, mask]) =>
  CPUID_ROWS.filter((row) => row.leaf === Number(leaf) && row.subleaf === subleafOf(subleaf)).map((row) => ({
    row,
    xfamBit,
    mask: registers(mask),
  })),
);

const BY_LEAF = new Map<number, CpuidRow[]>();
for (const row of CPUID_ROWS) BY_LEAF.set(row.leaf, [...(BY_LEAF.get(row.leaf) ?? []), row]);

/** The row of a leaf and subleaf; undefined: the module does not know it, and reading it is #VE. */
export function findCpuid(leaf: number, subleaf: number): CpuidRow | undefined {
  return BY_LEAF.get(leaf)?.find((row) => row.subleaf === undefined || row.subleaf === subleaf);
}
