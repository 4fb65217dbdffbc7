import { CPUID_ROWS, type CpuidRow, findCpuid } from "../tables/cpuid.js";

/** Class of TDCS.CPUID_VALUES, whose field code names a leaf. */
export const CPUID_CLASS = 0x14;

/** A field code of that class: bit 0 element, 7:1 subleaf, 8 subleaf not applicable, 15:9 leaf 6:0, 16 leaf 31. */
export interface CpuidFieldCode {
  readonly element: number;
  readonly row: CpuidRow | undefined;
  readonly reserved: boolean;
}

/** Any 24-bit field code; a leaf that the module does not know has no row. Source: Intel TDX module 1.5 ABI specification, "CPUID_VALUES". */
export function parseCpuidFieldCode(fieldCode: number): CpuidFieldCode {
  const leaf = (((fieldCode >>> 9) & 0x7f) | (((fieldCode >>> 16) & 1) << 31)) >>> 0;
  const subleaf = (fieldCode & 0x100) !== 0 ? 0xffff_ffff : (fieldCode >>> 1) & 0x7f;
  return { element: fieldCode & 1, row: findCpuid(leaf, subleaf), reserved: fieldCode >>> 17 !== 0 };
}

/** The field code of an element (0: EAX and EBX, 1: ECX and EDX) of a row. */
export function cpuidFieldCode(row: CpuidRow, element: number): number {
  const subleaf = row.subleaf === undefined ? 0x100 : (row.subleaf & 0x7f) << 1;
  return element | subleaf | ((row.leaf & 0x7f) << 9) | (row.leaf >>> 31 === 1 ? 1 << 16 : 0);
}

/** The field code after another one; undefined after the last. */
export function nextCpuidFieldCode(fieldCode: number): number | undefined {
  const { element, row } = parseCpuidFieldCode(fieldCode);
  if (element === 0) return fieldCode | 1;
  const next = CPUID_ROWS[(row?.index ?? CPUID_ROWS.length) + 1];
  return next === undefined ? undefined : cpuidFieldCode(next, 0);
}
