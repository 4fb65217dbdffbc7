import { KvmTdxError } from "./errors.js";

/** Bytes `[base, base + size)` of physical memory. */
export interface Range {
  readonly base: number;
  readonly size: number;
}

/** A TD memory region: whole GiB, with room for what the module notes of each page and with the parts that are no memory of TDs. */
export interface Tdmr extends Range {
  /** PAMT of pages of 4 KiB, 2 MiB and 1 GiB. */
  readonly pamts: readonly [Range, Range, Range];
  /** Ascending, within the region, multiples of 4096. */
  readonly reserved: readonly Range[];
}

export interface TdmrLimits {
  readonly maxTdmrs: number;
  readonly maxReservedPerTdmr: number;
  /** Bytes of an entry, for pages of 4 KiB, 2 MiB, 1 GiB. */
  readonly pamtEntrySizes: readonly [number, number, number];
}

const PAGE = 4096;
const GIB = 2 ** 30;
const PAGE_SIZES = [PAGE, 2 ** 21, GIB] as const;
/** Bytes of TDMR_INFO up to its reserved areas, and its alignment. */
const HEADER = 64;
export const TDMR_INFO_ALIGNMENT = 512;

const end = ({ base, size }: Range): number => base + size;
const up = (value: number, to: number): number => Math.ceil(value / to) * to;
const down = (value: number, to: number): number => Math.floor(value / to) * to;

/**
 * TDMRs that cover `memory` (ascending, without overlaps). Linux: construct_tdmrs.
 * @param allocPamt gives `size` bytes of contiguous memory, or null
 * @throws KvmTdxError ENOSPC for too many TDMRs or reserved areas, ENOMEM
 */
export function constructTdmrs(
  memory: readonly Range[],
  limits: TdmrLimits,
  allocPamt: (size: number) => number | null,
): Tdmr[] {
  const regions = cover(memory);
  if (regions.length > limits.maxTdmrs)
    throw new KvmTdxError("ENOSPC", `${regions.length} TDMRs; the module takes ${limits.maxTdmrs}`);
  const withPamts = regions.map((region) => ({ ...region, pamts: pamtsOf(region, limits.pamtEntrySizes, allocPamt) }));
  const allPamts = withPamts.flatMap(({ pamts }) => pamts);
  return withPamts.map((region) => {
    const reserved = [...holes(region, memory), ...allPamts.flatMap((pamt) => within(region, pamt))];
    reserved.sort((a, b) => a.base - b.base);
    if (reserved.length > limits.maxReservedPerTdmr)
      throw new KvmTdxError(
        "ENOSPC",
        `${reserved.length} reserved areas in the TDMR at 0x${region.base.toString(16)}; the module takes ${limits.maxReservedPerTdmr}`,
      );
    return { ...region, reserved };
  });
}

/** Whole GiB around each range, less what those before have. */
function cover(memory: readonly Range[]): Range[] {
  const regions: Range[] = [];
  for (const range of memory) {
    const last = regions.at(-1);
    const base = Math.max(down(range.base, GIB), last === undefined ? 0 : end(last));
    const size = up(end(range), GIB) - base;
    if (size > 0) regions.push({ base, size });
  }
  return regions;
}

function pamtsOf(
  { size }: Range,
  entrySizes: TdmrLimits["pamtEntrySizes"],
  alloc: (size: number) => number | null,
): [Range, Range, Range] {
  const [small, medium, large] = PAGE_SIZES.map((page, k) => up((size / page) * (entrySizes[k] as number), PAGE)) as [
    number,
    number,
    number,
  ];
  const base = alloc(small + medium + large);
  if (base === null) throw new KvmTdxError("ENOMEM", `no ${small + medium + large} bytes in a row for a PAMT`);
  return [
    { base, size: small },
    { base: base + small, size: medium },
    { base: base + small + medium, size: large },
  ];
}

/** What of `region` is not in `memory`. */
function holes(region: Range, memory: readonly Range[]): Range[] {
  const found: Range[] = [];
  let at = region.base;
  for (const range of memory) {
    if (range.base >= end(region)) break;
    if (range.base > at) found.push({ base: at, size: range.base - at });
    at = Math.max(at, end(range));
  }
  if (at < end(region)) found.push({ base: at, size: end(region) - at });
  return found;
}

/** The part of `range` that is in `region`. */
function within(region: Range, range: Range): Range[] {
  const base = Math.max(region.base, range.base);
  const size = Math.min(end(region), end(range)) - base;
  return size > 0 ? [{ base, size }] : [];
}

/** Bytes of a TDMR_INFO structure. */
export function tdmrInfoSize(maxReservedPerTdmr: number): number {
  return up(HEADER + 16 * maxReservedPerTdmr, TDMR_INFO_ALIGNMENT);
}

/** Writes TDMR_INFO at `at`; the bytes there are zero. */
export function writeTdmrInfo(to: DataView, at: number, { base, size, pamts, reserved }: Tdmr): void {
  const [small, medium, large] = pamts;
  const words = [base, size, large.base, large.size, medium.base, medium.size, small.base, small.size];
  for (const area of reserved) words.push(area.base - base, area.size);
  words.forEach((word, k) => void to.setBigUint64(at + 8 * k, BigInt(word), true));
}
