import { PAGE_BYTES, PageSize } from "./page-type.js";
import type { PhysicalRange } from "./platform.js";
import { Status, withOperand } from "./status.js";

/** TDMR_INFO as a host hands it over; numbers from it are only to be trusted after {@link checkTdmr}. */
export interface TdmrInfo extends PhysicalRange {
  /** By {@link PageSize}: the memory for PAMT entries of that size. */
  readonly pamts: readonly PhysicalRange[];
  /** Sixteen; of size 0 for none. `base` is the offset from the TDMR's base. */
  readonly areas: readonly PhysicalRange[];
}

/** Most TDMRs. */
export const MAX_TDMRS = 64;
/** Most reserved areas of one. */
export const MAX_RESERVED_AREAS = 16;
/** Bytes of memory that an entry of a PAMT takes, whatever the size of its page. */
export const PAMT_ENTRY_BYTES = 16;
/** Bytes of TDMR_INFO with the room behind it, and its alignment. */
export const TDMR_INFO_BYTES = 512;

const GIB = PAGE_BYTES[PageSize.Size1G];
const PAGE = PAGE_BYTES[PageSize.Size4K];
const SIZES = [PageSize.Size4K, PageSize.Size2M, PageSize.Size1G] as const;
const end = ({ base, size }: PhysicalRange) => base + size;
const overlap = (a: PhysicalRange, b: PhysicalRange) => a.base < end(b) && b.base < end(a);

/** Details of a status: number of the TDMR, then a page size or reserved area, then another TDMR. */
const details = (status: bigint, tdmr: number, which = 0, other = 0) =>
  withOperand(status, tdmr | (which << 8) | (other << 16));

/** Takes the first {@link TDMR_INFO_BYTES} of `bytes` apart. */
export function readTdmrInfo(bytes: Uint8Array): TdmrInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const range = (at: number) => ({
    base: Number(view.getBigUint64(at, true)),
    size: Number(view.getBigUint64(at + 8, true)),
  });
  const areas = Array.from({ length: MAX_RESERVED_AREAS }, (_, i) => range(64 + 16 * i));
  return { ...range(0), pamts: [range(48), range(32), range(16)], areas };
}

/** The parts of a TDMR that are not reserved. */
function available({ base, size, areas }: TdmrInfo): PhysicalRange[] {
  const parts: PhysicalRange[] = [];
  let from = base;
  for (const area of areas) {
    if (area.size === 0) break;
    if (base + area.base > from) parts.push({ base: from, size: base + area.base - from });
    from = base + end(area);
  }
  if (from < base + size) parts.push({ base: from, size: base + size - from });
  return parts;
}

/** What physical addresses there are. */
export interface AddressSpace {
  /** Addresses without a key id are below this. */
  readonly limit: number;
  /** Convertible memory, adjacent ranges joined. */
  readonly convertible: readonly PhysicalRange[];
}

const isConvertible = ({ convertible }: AddressSpace, range: PhysicalRange) =>
  convertible.some((cmr) => range.base >= cmr.base && end(range) <= end(cmr));

function checkAreas({ size, areas }: TdmrInfo, i: number): bigint {
  for (const [j, area] of areas.entries()) {
    if (area.size === 0) {
      if ((areas[j + 1]?.size ?? 0) !== 0) return details(Status.NON_ORDERED_RESERVED_IN_TDMR, i, j);
      continue;
    }
    if (end(area) >= 2 ** 64) return details(Status.INVALID_RESERVED_IN_TDMR, i, j);
    const before = areas[j - 1];
    if (before !== undefined && area.base < end(before)) return details(Status.NON_ORDERED_RESERVED_IN_TDMR, i, j);
    if (area.base % PAGE !== 0 || area.size % PAGE !== 0 || end(area) > size)
      return details(Status.INVALID_RESERVED_IN_TDMR, i, j);
  }
  return Status.SUCCESS;
}

function checkPamts(infos: readonly TdmrInfo[], i: number, space: AddressSpace): bigint {
  const { pamts, size } = infos[i] as TdmrInfo;
  for (const level of [...SIZES].reverse()) {
    const pamt = pamts[level] as PhysicalRange;
    const needed = (size / PAGE_BYTES[level]) * PAMT_ENTRY_BYTES;
    if (pamt.base % PAGE !== 0 || pamt.size % PAGE !== 0 || end(pamt) > space.limit || pamt.size < needed)
      return details(Status.INVALID_PAMT, i, level);
  }
  for (let j = 0; j < i; j++)
    for (const level of SIZES)
      if ((infos[j] as TdmrInfo).pamts.some((other) => overlap(pamts[level] as PhysicalRange, other)))
        return details(Status.PAMT_OVERLAP, i, level, j);
  for (const level of SIZES)
    if (pamts.some((other, size) => size > level && overlap(pamts[level] as PhysicalRange, other)))
      return details(Status.PAMT_OVERLAP, i, level, i);
  return Status.SUCCESS;
}

/** PAMTs may lie within TDMRs, but only in their reserved areas. */
function checkPamtsOutside(infos: readonly TdmrInfo[], i: number): bigint {
  const covers = (tdmr: number, pamt: PhysicalRange) =>
    available(infos[tdmr] as TdmrInfo).some((part) => overlap(part, pamt));
  for (let j = 0; j <= i; j++) {
    for (const level of SIZES)
      if (covers(j, (infos[i] as TdmrInfo).pamts[level] as PhysicalRange))
        return details(Status.PAMT_OVERLAP, i, level, j);
    if (j === i) break;
    for (const level of SIZES)
      if (covers(i, (infos[j] as TdmrInfo).pamts[level] as PhysicalRange))
        return details(Status.PAMT_OVERLAP, j, level, i);
  }
  return Status.SUCCESS;
}

function checkPlace(infos: readonly TdmrInfo[], i: number, { limit }: AddressSpace): bigint {
  const info = infos[i] as TdmrInfo;
  const before = infos[i - 1];
  if (end(info) >= 2 ** 64) return details(Status.INVALID_TDMR, i);
  if (before !== undefined && info.base < end(before)) return details(Status.NON_ORDERED_TDMR, i);
  const whole = info.base % GIB === 0 && info.size % GIB === 0 && info.size > 0;
  return whole && end(info) <= limit ? Status.SUCCESS : details(Status.INVALID_TDMR, i);
}

/** SUCCESS, or what is wrong with `infos[i]`, given that those before are right; the details of the status say which and where. */
export function checkTdmr(infos: readonly TdmrInfo[], i: number, space: AddressSpace): bigint {
  const info = infos[i] as TdmrInfo;
  const checks = [
    () => checkPlace(infos, i, space),
    () => checkAreas(info, i),
    () => checkPamts(infos, i, space),
    () => checkPamtsOutside(infos, i),
    () => {
      const level = [...SIZES].reverse().find((size) => !isConvertible(space, info.pamts[size] as PhysicalRange));
      return level === undefined ? Status.SUCCESS : details(Status.PAMT_OUTSIDE_CMRS, i, level);
    },
    () => {
      const outside = available(info).some((part) => !isConvertible(space, part));
      return outside ? details(Status.TDMR_OUTSIDE_CMRS, i) : Status.SUCCESS;
    },
  ];
  for (const check of checks) {
    const status = check();
    if (status !== Status.SUCCESS) return status;
  }
  return Status.SUCCESS;
}

/** Ranges in ascending order, those that touch joined. */
export function joined(ranges: readonly PhysicalRange[]): PhysicalRange[] {
  const result: PhysicalRange[] = [];
  for (const range of ranges) {
    const last = result.at(-1);
    if (last !== undefined && end(last) === range.base)
      result[result.length - 1] = { base: last.base, size: last.size + range.size };
    else result.push({ base: range.base, size: range.size });
  }
  return result;
}
