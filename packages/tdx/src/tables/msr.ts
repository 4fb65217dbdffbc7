import table from "../../tables/msr.json";

/**
 * What happens at an access to an MSR. `native`: the processor does it and the module does not see it. `gp`, `ve`: #GP(0), #VE. `gp-or-ve`: #GP(0)
 * where CPUID does not offer the feature of the MSR, else #VE. `module`: the module answers.
 */
export type MsrAnswer = "native" | "gp" | "ve" | "gp-or-ve" | "module";

/** Features of a TD, each from ATTRIBUTES, XFAM or CPUID, that make an MSR native. */
export type MsrFeature =
  | "perfmon"
  | "xfam-pt"
  | "xfam-cet"
  | "xfam-uli"
  | "xfam-lbr"
  | "xfd"
  | "umwait"
  | "tsx"
  | "pks"
  | "other";

/** How one direction of access is virtualised: `native` for a TD that has `feature`, else `answer`. */
export interface MsrAccess {
  readonly answer: MsrAnswer;
  readonly feature?: MsrFeature;
}

/** MSRs from `first` to `last`, both included. */
export interface MsrRange {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  readonly read: MsrAccess;
  readonly write: MsrAccess;
}

function access(text: string): MsrAccess {
  const [one, two] = text.split(" ");
  return two === undefined ? { answer: one as MsrAnswer } : { answer: two as MsrAnswer, feature: one as MsrFeature };
}

/** The MSRs that are not #VE both ways, ascending. Source: Intel TDX module 1.5 ABI specification, "MSR Virtualization". */
export const MSR_RANGES: readonly MsrRange[] = (table.ranges as [string, string, string, string, string][]).map(
  ([name, first, last, read, write]) => ({
    name,
    first: Number(first),
    last: Number(last),
    read: access(read),
    write: access(write),
  }),
);

/** The range of an MSR; undefined where every access is #VE. */
export function findMsr(index: number): MsrRange | undefined {
  let low = 0;
  let high = MSR_RANGES.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const range = MSR_RANGES[middle];
    if (range === undefined) return undefined;
    if (index < range.first) high = middle - 1;
    else if (index > range.last) low = middle + 1;
    else return range;
  }
  return undefined;
}
