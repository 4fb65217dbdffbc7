import { BpfError } from "../errors.js";
import type { Work } from "../work.js";
import { type BtfHeader, readHeader, viewOf } from "./header.js";
import { kindName, TYPE_SIZE } from "./kinds.js";

/** Types that are read between two stops; some ns each. */
const STEPS = 8192;

/** Bits of btf_type.info; the kinds' and counts' upper bits are 0 before linux 7.1. */
export const kindOf = (info: number): number => (info >>> 24) & 0x7f;
export const countOf = (info: number): number => info & 0xffffff;
export const flagOf = (info: number): boolean => info >>> 31 === 1;

/** Where each type lies. */
export interface TypeIndex {
  readonly header: BtfHeader;
  /** Offset of each type from the first byte of the header, in their order, without void. */
  readonly offsets: Uint32Array;
}

/**
 * Finds the types, in pieces.
 * @param base whether the types continue those of another
 * @throws {BpfError} EINVAL if a type reaches beyond the section or is of a kind whose size is not known
 */
export function* indexTypes(bytes: Uint8Array, base: boolean): Work<TypeIndex> {
  const header = readHeader(bytes, base);
  const { layout } = header;
  const { start, end } = header.types;
  const view = viewOf(bytes);
  // A type takes 16 bytes at least, most of them; grows for those that take 12.
  let offsets = new Uint32Array(16 + ((end - start) >>> 4));
  let count = 0;
  for (let at = start; at < end; count++) {
    if (count % STEPS === STEPS - 1) yield;
    if (end - at < TYPE_SIZE) throw new BpfError("EINVAL", `${end - at} bytes behind the last type`);
    const info = view.getUint32(at + 4, true);
    const size = layout[kindOf(info)];
    if (size === undefined || kindOf(info) === 0)
      throw new BpfError("EINVAL", `Invalid kind:${kindOf(info)} of type ${count + 1}, whose size is not known`);
    if (count === offsets.length) offsets = grown(offsets);
    offsets[count] = at;
    at += TYPE_SIZE + size[0] + size[1] * countOf(info);
    if (at > end) throw new BpfError("EINVAL", `type ${count + 1}, ${kindName(kindOf(info))}, ends beyond the types`);
  }
  return { header, offsets: offsets.slice(0, count) };
}

function grown(offsets: Uint32Array): Uint32Array<ArrayBuffer> {
  const twice = new Uint32Array(2 * offsets.length);
  twice.set(offsets);
  return twice;
}
