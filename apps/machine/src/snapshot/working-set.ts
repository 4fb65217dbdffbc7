import { SnapshotError } from "./error.js";
import { FIRST, openFile, readUpTo } from "./head.js";
import { LIMITS, WORKING_SET_NAME } from "./layout.js";
import type { SnapshotSource } from "./source.js";

/** Of what is written, and the newest that is read. */
const VERSION = 1;

/** Which chunks a machine that went on from a snapshot needed, in that order: what is read ahead the next time. */
export interface WorkingSet {
  /** Id of the snapshot. */
  readonly snapshot: string;
  readonly chunks: readonly number[];
}

/** What a working set must go with. */
export interface WorkingSetOwner {
  readonly id: string;
  /** Numbers of its chunks, ascending. */
  readonly chunks: Uint32Array;
}

/** As JSON, with a line end. @throws {SnapshotError} "limit" */
export function encodeWorkingSet({ snapshot, chunks }: WorkingSet): Uint8Array {
  if (chunks.length > LIMITS.chunks)
    throw new SnapshotError("limit", `a working set of ${chunks.length} chunks: at most ${LIMITS.chunks}`);
  return new TextEncoder().encode(`${JSON.stringify({ version: VERSION, snapshot, chunks })}\n`);
}

/** The file of a working set beside the head of a snapshot; null if there is none. @throws {SnapshotError} "foreign", "limit", "size", "io" */
export async function readWorkingSet(source: SnapshotSource): Promise<Uint8Array | null> {
  const name = nameOf(source);
  const file = await openFile(source, WORKING_SET_NAME, FIRST).catch((error: unknown) => {
    // A store that does not let its files be listed calls forbidden what it has not got.
    if (error instanceof SnapshotError && (error.code === "absent" || error.code === "forbidden")) return null;
    throw error;
  });
  if (file === null) return null;
  try {
    if (file.size > LIMITS.workingSet)
      throw new SnapshotError("limit", `${name}: ${file.size} bytes, at most ${LIMITS.workingSet} are accepted`);
    const bytes = await readUpTo(file, 0, file.size, name);
    if (bytes.length < file.size) throw new SnapshotError("size", `${name} was cut short while it was read`);
    return bytes;
  } finally {
    await file.close();
  }
}

/**
 * The chunks of a working set, in their order, each once.
 * @throws {SnapshotError} "corrupt" for what is none, "newer", "limit"; "foreign" for that of another snapshot; "range" for chunks that the snapshot has not
 */
export function decodeWorkingSet(bytes: Uint8Array, source: SnapshotSource, owner: WorkingSetOwner): readonly number[] {
  const name = nameOf(source);
  const { version, snapshot, chunks } = parsed(bytes, name);
  if (typeof version !== "number" || !Array.isArray(chunks)) throw damaged(name);
  if (version > VERSION)
    throw new SnapshotError(
      "newer",
      `${name} was made by a newer version: its format is ${version}, up to ${VERSION} is read here`,
    );
  if (version !== VERSION) throw damaged(name);
  if (snapshot !== owner.id)
    throw new SnapshotError("foreign", `${name} is that of another snapshot: remove it, or record it again`);
  if (chunks.length > LIMITS.chunks)
    throw new SnapshotError("limit", `${name}: ${chunks.length} chunks, at most ${LIMITS.chunks} are accepted`);
  const known = new Set(owner.chunks);
  // Each is struck off, so that none is there twice.
  const stray = chunks.find((chunk) => !known.delete(chunk));
  if (stray !== undefined)
    throw new SnapshotError(
      "range",
      `${name}: ${JSON.stringify(stray)} is no chunk of the snapshot, or is there twice`,
    );
  return chunks;
}

const nameOf = (source: SnapshotSource): string => `${source.name}/${WORKING_SET_NAME}`;

function parsed(bytes: Uint8Array, name: string): Readonly<Record<keyof WorkingSet | "version", unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw damaged(name, cause);
  }
  if (typeof value !== "object" || value === null) throw damaged(name);
  return value as Readonly<Record<keyof WorkingSet | "version", unknown>>;
}

const damaged = (name: string, cause?: unknown): SnapshotError =>
  new SnapshotError("corrupt", `${name} is damaged: it is no working set as --record-working-set writes it`, { cause });
