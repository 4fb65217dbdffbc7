import { ERRNO } from "../errors.js";
import { ArrayMap } from "../maps/array.js";
import { align8 } from "../maps/layout.js";
import { RingbufMap } from "../maps/ringbuf.js";
import { MapFlag, MapType } from "../uapi/map-types.js";
import type { Access } from "./file.js";
import type { MapObject } from "./map-object.js";

const PAGE = 4096;
/** Pages of a ring in front of its records: where its reader is, and where its writer. */
const POSITION_PAGES = 2;

/** What mmap(2) asks of a map. */
export interface MapRequest {
  /** Bytes from the start of the map's memory, a multiple of 4096. */
  readonly offset: number;
  /** Bytes, a multiple of 4096. */
  readonly length: number;
  readonly write: boolean;
  /** MAP_SHARED */
  readonly shared: boolean;
}

/** A part of a mapping. What is in no part is zeros. */
export type MappedPart =
  /** Bytes of the arena. */
  | { readonly kind: "bytes"; readonly at: number; readonly size: number; readonly address: number }
  /** A page that begins with a number of 64 bits: how far who reads a ring has come (`consumer`), which who maps it sets, or how far it has been filled. */
  | {
      readonly kind: "position";
      readonly at: number;
      readonly of: "consumer" | "producer";
      readonly ring: RingbufMap;
    };

/** A map's memory, as a process sees it. */
export interface MapMapping {
  /** `at` counts bytes from the start of the mapping. */
  readonly parts: readonly MappedPart[];
  /** It is unmapped: as long as somebody may write to it, the map cannot be frozen. */
  readonly close: () => void;
}

/** What memory is behind a mapping of a map (`bpf_map_mmap`). @returns a negative errno if the map cannot be mapped so */
export function mapMemory(object: MapObject, access: Access, request: MapRequest): MapMapping | number {
  const { map, flags, fields, frozen } = object;
  const { write, shared } = request;
  if (!access.readable || (write && shared && !access.writable)) return -ERRNO.EACCES;
  const kind = map.desc.type === MapType.Array || map instanceof RingbufMap;
  if (!kind || fields.length > 0) return -ERRNO.ENOTSUPP;
  if (!shared) return -ERRNO.EINVAL;
  if (write && frozen) return -ERRNO.EPERM;
  if (write && (flags & MapFlag.RdonlyProg) !== 0) return -ERRNO.EACCES;
  const parts = map instanceof ArrayMap ? arrayParts(map, request) : ringParts(map as RingbufMap, request);
  if (typeof parts === "number") return parts;
  let open = write;
  if (write) object.writers++;
  object.hold();
  let held = true;
  const close = (): void => {
    if (open) object.writers--;
    open = false;
    if (held) object.put();
    held = false;
  };
  return { parts, close };
}

function arrayParts(map: ArrayMap, { offset, length }: MapRequest): MappedPart[] | number {
  const { valueSize, maxEntries, flags } = map.desc;
  const bytes = align8(valueSize) * maxEntries;
  if ((flags & MapFlag.Mmapable) === 0) return -ERRNO.EINVAL;
  if (offset + length > Math.ceil(bytes / PAGE) * PAGE) return -ERRNO.EINVAL;
  const size = Math.min(length, bytes - offset);
  return size <= 0 ? [] : [{ kind: "bytes", at: 0, size, address: map.elements + offset }];
}

function ringParts(ring: RingbufMap, { offset, length, write }: MapRequest): MappedPart[] | number {
  if (write && (offset !== 0 || length !== PAGE)) return -ERRNO.EPERM;
  const records = 2 * ring.desc.maxEntries;
  if (offset + length > POSITION_PAGES * PAGE + records) return -ERRNO.EINVAL;
  const parts: MappedPart[] = [];
  for (const [page, of] of (["consumer", "producer"] as const).entries()) {
    const at = page * PAGE - offset;
    if (at >= 0 && at < length) parts.push({ kind: "position", at, of, ring });
  }
  const [start, end] = [Math.max(offset, POSITION_PAGES * PAGE), offset + length];
  // Records are in memory twice, so that those that reach over the end can be read in one go.
  if (end > start)
    parts.push({
      ...{ kind: "bytes", at: start - offset, size: end - start },
      address: ring.data + start - POSITION_PAGES * PAGE,
    });
  return parts;
}
