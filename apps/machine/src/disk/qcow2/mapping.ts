import { DiskError } from "../error.js";

/** Refcount is exactly 1: the cluster may be written in place. */
export const COPIED = 0x8000_0000;
const COMPRESSED = 0x4000_0000;
const ZERO = 1;
/** Bits of the upper word that are no part of an offset. */
const RESERVED = 0x3f00_0000;

/** Where a cluster of the disk is. Offsets are bytes in the image. */
export type Mapping =
  /** Nowhere: what the backing file has there, or zeros. */
  | { readonly kind: "none" }
  /** Zeros; `offset` is a cluster that is kept for it, or null. */
  | { readonly kind: "zero"; readonly offset: number | null; readonly copied: boolean }
  | { readonly kind: "data"; readonly offset: number; readonly copied: boolean }
  /** `length` bytes that hold a compressed cluster, and perhaps more behind it. */
  | { readonly kind: "compressed"; readonly offset: number; readonly length: number };

const NONE: Mapping = { kind: "none" };

/**
 * Reads an entry of an L2 table (QEMU `docs/interop/qcow2.txt`, "Cluster mapping").
 * @throws {DiskError} "corrupt" for one that cannot be
 */
export function readMapping(view: DataView, index: number, clusterBits: number, version: 2 | 3): Mapping {
  const [high, low] = [view.getUint32(8 * index), view.getUint32(8 * index + 4)];
  if (high === 0 && low === 0) return NONE;
  if ((high & COMPRESSED) !== 0) return readCompressed(high, low, clusterBits);
  const offset = (high & 0x00ff_ffff) * 2 ** 32 + ((low & ~0x1ff) >>> 0);
  const zero = (low & ZERO) !== 0;
  const sound = (high & RESERVED) === 0 && (low & 0x1fe) === 0 && offset % 2 ** clusterBits === 0 && offset < 2 ** 53;
  if (!sound || (zero && version === 2))
    throw new DiskError("corrupt", `the qcow2 image is damaged: an L2 entry is 0x${hex(high)}${hex(low)}`);
  const copied = (high & COPIED) !== 0;
  if (zero) return { kind: "zero", offset: offset === 0 ? null : offset, copied };
  return offset === 0 ? NONE : { kind: "data", offset, copied };
}

function readCompressed(high: number, low: number, clusterBits: number): Mapping {
  const offsetBits = BigInt(62 - (clusterBits - 8));
  const descriptor = (BigInt(high & 0x3fff_ffff) << 32n) | BigInt(low);
  const offset = Number(descriptor & ((1n << offsetBits) - 1n));
  const sectors = Number(descriptor >> offsetBits) + 1;
  if (!Number.isSafeInteger(offset))
    throw new DiskError("corrupt", "the qcow2 image is damaged: a compressed cluster lies beyond 2^53");
  return { kind: "compressed", offset, length: sectors * 512 - (offset % 512) };
}

const hex = (word: number): string => word.toString(16).padStart(8, "0");
