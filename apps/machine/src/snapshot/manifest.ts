import type { Gpa, MemslotDesc } from "@vm/mmu";
import { SnapshotError } from "./error.js";
import { LIMITS, PACK_NAME } from "./layout.js";
import { checkMemslots } from "./memory-layout.js";
import { decodeValue, encodeValue } from "./value-codec.js";

/** A snapshot that this one goes on from: a folder beside it. */
export interface ParentName {
  /** The folder's name, without any path. */
  readonly name: string;
  /** Its id: 64 hexadecimal digits. */
  readonly id: string;
}

/** What a snapshot is made of. */
export interface Manifest {
  /** Of whoever wrote it. */
  readonly meta: unknown;
  readonly memslots: readonly MemslotDesc[];
  readonly parent: ParentName | null;
  /** Name of the pack file. */
  readonly pack: string;
  readonly chunks: number;
  readonly contents: number;
}

/** @throws {SnapshotError} "state" or "limit" for meta data that cannot be stored */
export function encodeManifest(manifest: Manifest): Uint8Array {
  encodeValue(manifest.meta, "meta", LIMITS.manifest);
  return encodeValue(manifest, "the manifest", LIMITS.manifest);
}

/** @throws {SnapshotError} "corrupt", "limit", "range", "parent" */
export function decodeManifest(bytes: Uint8Array, name: string): Manifest {
  const value = decodeValue(bytes, name);
  if (!isRecord(value)) throw damaged(name, "no object");
  const { meta = null, memslots, parent, pack, chunks, contents } = value;
  if (!Array.isArray(memslots)) throw damaged(name, "no memslots");
  if (typeof pack !== "string" || !PACK_NAME.test(pack)) throw damaged(name, "a pack of another name than chunks-1");
  return {
    meta,
    memslots: checkMemslots(
      memslots.map((slot: unknown) => memslotOf(slot, name)),
      name,
    ),
    parent: parentOf(parent, name),
    pack,
    chunks: countOf(chunks, "chunks", name),
    contents: countOf(contents, "contents", name),
  };
}

/**
 * Whether a folder of that name can only be beside: no path, no drive, nothing that a URL would take for more.
 * @throws {SnapshotError} "parent"
 */
export function checkParentName(parent: string, name: string): void {
  const plain = /^[A-Za-z0-9_][A-Za-z0-9._ @+~-]*$/.test(parent) && parent.length <= LIMITS.name;
  if (!plain)
    throw new SnapshotError(
      "parent",
      `${name}: its parent is said to be ${JSON.stringify(parent.slice(0, LIMITS.name))}, accepted is the name of a folder beside it, of letters, digits and ._@+~- or spaces`,
    );
}

function parentOf(parent: unknown, file: string): ParentName | null {
  if (parent === null) return null;
  if (!isRecord(parent)) throw damaged(file, "a parent without a name");
  const { name, id } = parent;
  if (typeof name !== "string" || typeof id !== "string" || !/^[0-9a-f]{64}$/.test(id))
    throw damaged(file, "a parent without a name or an id");
  checkParentName(name, file);
  return { name, id };
}

function memslotOf(value: unknown, name: string): MemslotDesc {
  if (!isRecord(value)) throw damaged(name, "a memslot that is no object");
  const { slot, gpa, size, readonly = false, hugepages = false, dirtyLog = false } = value;
  if (typeof slot !== "number" || typeof gpa !== "number" || typeof size !== "number")
    throw damaged(name, "a memslot without number, address or size");
  if (typeof readonly !== "boolean" || typeof hugepages !== "boolean" || typeof dirtyLog !== "boolean")
    throw damaged(name, `flags of memslot ${slot}`);
  return { slot, gpa: gpa as Gpa, size, readonly, hugepages, dirtyLog };
}

function countOf(value: unknown, what: string, name: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
    throw damaged(name, `no number of ${what}`);
  if (value > LIMITS.chunks)
    throw new SnapshotError("limit", `${name}: ${value} ${what}, at most ${LIMITS.chunks} are accepted`);
  return value;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);

const damaged = (name: string, why: string): SnapshotError =>
  new SnapshotError("corrupt", `${name} is damaged: its manifest has ${why}`);
