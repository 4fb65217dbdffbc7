import type { Pace } from "../pace.js";
import { sameBytes, sha256Of } from "./digest.js";
import { SnapshotError } from "./error.js";
import { decodeHeader, HEADER_BYTES, type Header, idOf, SECTIONS, type SectionName } from "./header.js";
import { HEAD_NAME } from "./layout.js";
import { decodeManifest, type Manifest } from "./manifest.js";
import { checkChunks } from "./memory-layout.js";
import type { SnapshotFile, SnapshotSource } from "./source.js";
import { CHUNK_ENTRY_BYTES, ChunkTable, CONTENT_ENTRY_BYTES } from "./table.js";

/** What the head of a snapshot says, checked. */
export interface Head {
  readonly id: string;
  readonly manifest: Manifest;
  readonly table: ChunkTable;
  /** The encoded state; empty if it was not asked for. */
  readonly state: Uint8Array;
  /** Bytes of the file. */
  readonly bytes: number;
}

/** Bytes that are read between two looks at the clock. */
const STEP = 2 ** 20;
/** Bytes of a file that is read as a whole: most are no longer. */
export const FIRST = 2 ** 16;

/**
 * Reads the head of a snapshot, every byte of it under its checksum before anything is made of it.
 * @param withState whether the state is wanted: a parent's is not
 * @throws {SnapshotError} any code but "state", "busy", "full" and "readonly"
 */
export async function readHead(source: SnapshotSource, withState: boolean, pace: Pace): Promise<Head> {
  const name = `${source.name}/${HEAD_NAME}`;
  return withFile(source, HEAD_NAME, async (file) => {
    const header = decodeHeader(await readUpTo(file, 0, HEADER_BYTES, name), name);
    checkSize(file.size, sizeOf(header), name);
    const read = (which: SectionName): Promise<Uint8Array> => readSection(file, header, which, name, pace);
    const manifest = decodeManifest(await read("manifest"), name);
    const counted = manifest.contents * CONTENT_ENTRY_BYTES + manifest.chunks * CHUNK_ENTRY_BYTES;
    if (counted !== header.sections.table.length)
      throw new SnapshotError("corrupt", `${name} is damaged: its table is not as long as its manifest says`);
    const table = await ChunkTable.read(await read("table"), manifest, name, pace);
    checkChunks(table.chunks, manifest.memslots, name);
    if (manifest.parent === null && table.codecs.includes("parent"))
      throw new SnapshotError("corrupt", `${name} is damaged: a content is said to be in a parent, and there is none`);
    return {
      id: idOf(header),
      manifest,
      table,
      state: withState ? await read("state") : new Uint8Array(),
      bytes: file.size,
    };
  });
}

/** @throws {SnapshotError} "size" if a file has other bytes than it should */
export function checkSize(is: number, expected: number, name: string): void {
  if (is < expected) throw new SnapshotError("size", `${name} is cut short: ${is} bytes instead of ${expected}`);
  if (is > expected)
    throw new SnapshotError("size", `${name} has ${is - expected} bytes behind its end: ${is} instead of ${expected}`);
}

const sizeOf = ({ sections }: Header): number =>
  SECTIONS.reduce((sum, section) => sum + sections[section].length, HEADER_BYTES);

async function readSection(
  file: SnapshotFile,
  { sections }: Header,
  which: SectionName,
  name: string,
  pace: Pace,
): Promise<Uint8Array> {
  const { length, digest } = sections[which];
  const before = SECTIONS.slice(0, SECTIONS.indexOf(which));
  const from = before.reduce((sum, section) => sum + sections[section].length, HEADER_BYTES);
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += STEP) {
    const part = bytes.subarray(at, at + STEP);
    if ((await reading(name, () => file.read(from + at, part))) !== part.length)
      throw new SnapshotError("size", `${name} was cut short while it was read`);
    await pace.breathe();
  }
  if (!sameBytes(await sha256Of(bytes, pace), digest))
    throw new SnapshotError("corrupt", `${name} is damaged: its ${which} is not that of its checksum`);
  return bytes;
}

/** @returns fewer bytes only at the end of the file */
export async function readUpTo(file: SnapshotFile, offset: number, length: number, name: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, await reading(name, () => file.read(offset, bytes)));
}

/** Opens a file for as long as `work` takes. */
async function withFile<T>(source: SnapshotSource, file: string, work: (file: SnapshotFile) => Promise<T>): Promise<T> {
  const opened = await openFile(source, file, FIRST);
  try {
    return await work(opened);
  } finally {
    await opened.close();
  }
}

/** Opens a file of a snapshot. @throws {SnapshotError} "absent", "foreign", "io" */
export const openFile = (source: SnapshotSource, file: string, first?: number): Promise<SnapshotFile> =>
  reading(`${source.name}/${file}`, () => source.open(file, first));

/** @throws {SnapshotError} "io" for whatever the host says, with the file's name */
export async function reading<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw unreadable(name, cause);
  }
}

/** What was thrown while a file was read, as a {@link SnapshotError}. */
export function unreadable(name: string, cause: unknown): SnapshotError {
  if (cause instanceof SnapshotError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new SnapshotError("io", `${name} cannot be read: ${why}`, { cause });
}
