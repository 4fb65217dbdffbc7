import { DIGEST_BYTES, hexOf, sameBytes, sha256 } from "./digest.js";
import { SnapshotError } from "./error.js";
import { LIMITS, VERSION } from "./layout.js";
import { CHUNK_ENTRY_BYTES, CONTENT_ENTRY_BYTES } from "./table.js";

/**
 * The first bytes of the head, integers little-endian: magic (8), version (4), zero (4), lengths of manifest, table and state (4 each), zero (4), SHA-256 of
 * each of the three (32 each), SHA-256 of all of these (32). The sections follow in that order, and the file ends.
 */
export const HEADER_BYTES = 160;
/** As in PNG: whatever changes line ends or the eighth bit is seen at once. */
const MAGIC = new Uint8Array([0x89, 0x56, 0x4d, 0x53, 0x4e, 0x0d, 0x0a, 0x1a]);
const OFFSET = { version: 8, reserved: 12, lengths: 16, padding: 28, digests: 32, own: 128 } as const;

/** Where the checksum of the header begins, which is the id of the snapshot. */
export const OWN_DIGEST = OFFSET.own;

export const SECTIONS = ["manifest", "table", "state"] as const;
export type SectionName = (typeof SECTIONS)[number];

/** Bytes each section may have. */
const MOST: Readonly<Record<SectionName, number>> = {
  manifest: LIMITS.manifest,
  table: LIMITS.chunks * (CONTENT_ENTRY_BYTES + CHUNK_ENTRY_BYTES),
  state: LIMITS.state,
};

export interface Section {
  readonly length: number;
  /** SHA-256. */
  readonly digest: Uint8Array;
}

export interface Header {
  readonly sections: Readonly<Record<SectionName, Section>>;
  /** The checksum of the header, and through it of every byte: what the snapshot is known by. */
  readonly id: Uint8Array;
}

export function encodeHeader(sections: Readonly<Record<SectionName, Section>>): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint32(OFFSET.version, VERSION, true);
  SECTIONS.forEach((name, k) => {
    view.setUint32(OFFSET.lengths + 4 * k, sections[name].length, true);
    bytes.set(sections[name].digest, OFFSET.digests + DIGEST_BYTES * k);
  });
  bytes.set(sha256(bytes.subarray(0, OFFSET.own)), OFFSET.own);
  return bytes;
}

/** Whether these are the first bytes of a snapshot of any version. */
export const hasMagic = (bytes: Uint8Array): boolean => sameBytes(bytes.subarray(0, MAGIC.length), MAGIC);

/**
 * @param bytes {@link HEADER_BYTES}, fewer if the file is shorter
 * @param name of the file, for messages
 * @throws {SnapshotError} "foreign", "newer", "size", "corrupt", "limit"
 */
export function decodeHeader(bytes: Uint8Array, name: string): Header {
  if (!hasMagic(bytes))
    throw new SnapshotError("foreign", `${name} is no snapshot: it does not begin as the file "snapshot" of one does`);
  if (bytes.length < HEADER_BYTES)
    throw new SnapshotError("size", `${name} is cut short: it ends within its header of ${HEADER_BYTES} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint32(OFFSET.version, true);
  if (version > VERSION)
    throw new SnapshotError(
      "newer",
      `${name} was made by a newer version: its format is ${version}, up to ${VERSION} is read here`,
    );
  const own = bytes.slice(OFFSET.own, HEADER_BYTES);
  if (!sameBytes(sha256(bytes.subarray(0, OFFSET.own)), own))
    throw new SnapshotError("corrupt", `${name} is damaged: its header is not that of its checksum`);
  if (version === 0 || view.getUint32(OFFSET.reserved, true) !== 0 || view.getUint32(OFFSET.padding, true) !== 0)
    throw new SnapshotError("corrupt", `${name} is damaged: its header has values that no version writes`);
  const section = (which: SectionName): Section => {
    const k = SECTIONS.indexOf(which);
    const length = view.getUint32(OFFSET.lengths + 4 * k, true);
    if (length > MOST[which])
      throw new SnapshotError("limit", `${name}: ${length} bytes of ${which}, at most ${MOST[which]} are accepted`);
    const at = OFFSET.digests + DIGEST_BYTES * k;
    return { length, digest: bytes.slice(at, at + DIGEST_BYTES) };
  };
  return { sections: { manifest: section("manifest"), table: section("table"), state: section("state") }, id: own };
}

/** The snapshot's name for people and for its children: 64 hexadecimal digits. */
export const idOf = ({ id }: Header): string => hexOf(id);
