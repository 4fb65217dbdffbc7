import type { ByteStore } from "../byte-store.js";
import { DiskError } from "../error.js";
import { u64, viewOf } from "./bits.js";

/** Offsets of header fields that are written again (QEMU `docs/interop/qcow2.txt`, "Header"). */
export const HEADER_REFCOUNT_TABLE = 48;
export const HEADER_AUTOCLEAR = 88;

/** Bytes the tables may have, as in QEMU: they are kept in memory. */
export const MAX_L1_BYTES = 32 * 2 ** 20;
export const MAX_REFCOUNT_TABLE_BYTES = 8 * 2 ** 20;
export const MAX_BACKING_NAME = 1023;
/** Header and extensions are looked for in this much; a cluster may be smaller. */
const HEAD_BYTES = 64 * 1024;

const INCOMPATIBLE = ["dirty", "corrupt", "external data file", "compression type", "extended L2 entries"] as const;
const DIRTY = 1;
const CORRUPT = 2;
const COMPRESSION = 8;
const SUPPORTED = DIRTY | CORRUPT | COMPRESSION;

export const EXTENSION_BACKING_FORMAT = 0xe2792aca;
const EXTENSION_FEATURE_NAMES = 0x6803f857;

export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  /** Bytes. */
  readonly clusterSize: number;
  /** Bytes of the disk. */
  readonly size: number;
  readonly backing: { readonly name: string; readonly format: string | null } | null;
  /** Entries of the active L1 table, and where it is. */
  readonly l1Size: number;
  readonly l1Offset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly refcountOrder: number;
  readonly snapshots: number;
  readonly snapshotsOffset: number;
  readonly dirty: boolean;
  readonly corrupt: boolean;
  readonly autoclear: boolean;
  readonly compression: "zlib" | "zstd";
}

const corrupt = (what: string): DiskError => new DiskError("corrupt", `its qcow2 header is damaged: ${what}`);
const unsupported = (what: string): DiskError => new DiskError("unsupported", `it is a qcow2 image with ${what}`);

/**
 * Reads and checks the header of a qcow2 image, version 2 or 3. Everything the sizes of later reads come from is checked here.
 * @throws {DiskError} "corrupt" or "unsupported", naming what
 */
export async function readQcow2Header(store: ByteStore): Promise<Qcow2Header> {
  const head = new Uint8Array(Math.min(HEAD_BYTES, Math.max(store.size, 112)));
  await store.read(0, head);
  const view = viewOf(head);
  const version = view.getUint32(4);
  if (view.getUint32(0) !== 0x514649fb) throw corrupt("it does not begin with 'QFI'");
  if (version !== 2 && version !== 3) throw unsupported(`version ${version}; 2 and 3 are read`);
  const clusterBits = view.getUint32(20);
  if (clusterBits < 9 || clusterBits > 21)
    throw corrupt(`clusters of 2^${clusterBits} bytes, where 2^9 to 2^21 are allowed`);
  const clusterSize = 2 ** clusterBits;
  const headerLength = version === 3 ? view.getUint32(100) : 72;
  if (
    version === 3 &&
    (headerLength < 104 || headerLength % 8 !== 0 || headerLength > Math.min(clusterSize, head.length))
  )
    throw corrupt(`it says it is ${headerLength} bytes long`);
  const extensions = readExtensions(head.subarray(0, Math.min(clusterSize, head.length)), headerLength, view);
  const features = readFeatures(view, version, extensions.featureNames);
  const crypt = view.getUint32(32);
  if (crypt !== 0) throw unsupported(`${crypt === 1 ? "AES" : crypt === 2 ? "LUKS" : "unknown"} encryption`);
  const header: Qcow2Header = {
    version,
    clusterBits,
    clusterSize,
    size: u64(view, 24),
    backing: readBacking(head, view, clusterSize, extensions.backingFormat),
    l1Size: view.getUint32(36),
    l1Offset: u64(view, 40),
    refcountTableOffset: u64(view, 48),
    refcountTableClusters: view.getUint32(56),
    refcountOrder: version === 3 ? view.getUint32(96) : 4,
    snapshots: view.getUint32(60),
    snapshotsOffset: u64(view, 64),
    compression: readCompression(view, headerLength, features.incompatible),
    dirty: (features.incompatible & DIRTY) !== 0,
    corrupt: (features.incompatible & CORRUPT) !== 0,
    autoclear: features.autoclear,
  };
  check(header);
  return header;
}

function check(header: Qcow2Header): void {
  const { size, clusterSize, l1Size, l1Offset, refcountOrder } = header;
  const { refcountTableOffset, refcountTableClusters } = header;
  if (!Number.isFinite(size) || size === 0 || size % 512 !== 0)
    throw corrupt(`a disk of ${size === Number.POSITIVE_INFINITY ? "more than 2^53" : size} bytes`);
  if (l1Size * 8 > MAX_L1_BYTES) throw corrupt(`an L1 table of ${l1Size} entries`);
  if (l1Size * clusterSize * (clusterSize / 8) < size) throw corrupt(`its L1 table of ${l1Size} entries is too small`);
  if (!isAligned(l1Offset, clusterSize)) throw corrupt("its L1 table is at no cluster");
  if (refcountOrder > 6) throw corrupt(`refcounts of 2^${refcountOrder} bits`);
  if (!isAligned(refcountTableOffset, clusterSize)) throw corrupt("its refcount table is at no cluster");
  if (refcountTableClusters === 0 || refcountTableClusters * clusterSize > MAX_REFCOUNT_TABLE_BYTES)
    throw corrupt(`a refcount table of ${refcountTableClusters} clusters`);
  if (header.snapshots > 65536) throw corrupt(`${header.snapshots} snapshots`);
}

const isAligned = (offset: number, clusterSize: number): boolean =>
  Number.isFinite(offset) && offset > 0 && offset % clusterSize === 0;

interface Features {
  readonly incompatible: number;
  readonly autoclear: boolean;
}

function readFeatures(view: DataView, version: number, names: ReadonlyMap<number, string>): Features {
  if (version === 2) return { incompatible: 0, autoclear: false };
  const [high, low] = [view.getUint32(72), view.getUint32(76)];
  for (let bit = 0; bit < 64; bit++) {
    const set = bit < 32 ? (low >>> bit) & 1 : (high >>> (bit - 32)) & 1;
    if (set === 0 || (bit < 32 && ((SUPPORTED >>> bit) & 1) === 1)) continue;
    const name = INCOMPATIBLE[bit] ?? names.get(bit);
    throw unsupported(`the incompatible feature ${name === undefined ? `of bit ${bit}` : `"${name}"`}`);
  }
  return { incompatible: low, autoclear: view.getUint32(88) !== 0 || view.getUint32(92) !== 0 };
}

function readCompression(view: DataView, headerLength: number, incompatible: number): "zlib" | "zstd" {
  const type = headerLength > 104 ? view.getUint8(104) : 0;
  if ((type !== 0) !== ((incompatible & COMPRESSION) !== 0))
    throw corrupt("its compression type and its feature bit differ");
  if (type > 1) throw unsupported(`compression type ${type}; 0 (zlib) and 1 (zstd) are read`);
  return type === 1 ? "zstd" : "zlib";
}

function readBacking(
  head: Uint8Array,
  view: DataView,
  clusterSize: number,
  format: string | null,
): Qcow2Header["backing"] {
  const [offset, length] = [u64(view, 8), view.getUint32(16)];
  if (offset === 0) return null;
  if (length > MAX_BACKING_NAME || offset + length > Math.min(clusterSize, head.length))
    throw corrupt("the name of its backing file lies outside");
  return length === 0 ? null : { name: text(head.subarray(offset, offset + length)), format };
}

interface Extensions {
  readonly backingFormat: string | null;
  readonly featureNames: ReadonlyMap<number, string>;
}

/** Header extensions: type, length, data padded to 8 bytes; type 0 ends them, and so does the end of the first cluster. */
function readExtensions(head: Uint8Array, from: number, view: DataView): Extensions {
  let backingFormat: string | null = null;
  const featureNames = new Map<number, string>();
  const end = Math.min(u64(view, 8) || head.length, head.length);
  for (let at = from; at + 8 <= end; ) {
    const [type, length] = [view.getUint32(at), view.getUint32(at + 4)];
    if (type === 0) break;
    if (at + 8 + length > end) throw corrupt("a header extension reaches beyond its end");
    const data = head.subarray(at + 8, at + 8 + length);
    if (type === EXTENSION_BACKING_FORMAT) backingFormat = text(data);
    if (type === EXTENSION_FEATURE_NAMES)
      for (let k = 0; k + 48 <= data.length; k += 48)
        if (data[k] === 0) featureNames.set(data[k + 1] ?? 0, text(data.subarray(k + 2, k + 48)));
    at += 8 + length + ((8 - (length % 8)) % 8);
  }
  return { backingFormat, featureNames };
}

/** UTF-8 up to the first zero. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
