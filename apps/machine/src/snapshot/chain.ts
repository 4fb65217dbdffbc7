import type { Pace } from "../pace.js";
import { keyOf } from "./digest.js";
import { SnapshotError } from "./error.js";
import { checkSize, type Head, openFile, readHead, reading } from "./head.js";
import { LIMITS } from "./layout.js";
import type { SnapshotFile, SnapshotSource } from "./source.js";

/** One folder of a chain. */
export interface Generation {
  readonly source: SnapshotSource;
  /** Its name as its child says it; that of its source for the first. */
  readonly name: string;
  readonly head: Head;
}

/** A snapshot and its parents, nearest first. */
export type Chain = readonly [Generation, ...Generation[]];

/** A content in the pack of a generation. */
export interface Place {
  readonly generation: number;
  /** Index in that generation's table. */
  readonly content: number;
}

/**
 * Reads the heads of a snapshot and of all its parents.
 * @throws {SnapshotError} "parent", "chain" and what {@link readHead} throws
 */
export async function readChain(source: SnapshotSource, pace: Pace): Promise<Chain> {
  const chain: [Generation, ...Generation[]] = [
    { source, name: source.name, head: await readHead(source, true, pace) },
  ];
  const names = new Set<string>();
  for (let last = chain[0]; last.head.manifest.parent !== null; ) {
    const { name, id } = last.head.manifest.parent;
    if (names.has(name)) throw new SnapshotError("chain", `${source.name}: its parent ${name} is its own parent`);
    if (names.size === LIMITS.parents)
      throw new SnapshotError("chain", `${source.name}: more than ${LIMITS.parents} parents behind each other`);
    names.add(name);
    const beside = await parentOf(last.source, name);
    const head = await readHead(beside, false, pace);
    if (head.id !== id)
      throw new SnapshotError(
        "parent",
        `${last.source.name}: its parent ${name} is not the snapshot it was made from: ${head.id} instead of ${id}`,
      );
    last = { source: beside, name, head };
    chain.push(last);
  }
  return chain;
}

async function parentOf(source: SnapshotSource, name: string): Promise<SnapshotSource> {
  try {
    return await reading(name, () => source.beside(name));
  } catch (cause) {
    if (!(cause instanceof SnapshotError) || cause.code !== "absent") throw cause;
    const message = `${source.name}: its parent ${name} is missing: a snapshot and its parents lie in one folder`;
    throw new SnapshotError("parent", message, { cause });
  }
}

/** Where a content is, by the key of its digest, looked for from generation `from` on; null if none has it. */
export function locate(chain: readonly Generation[], key: string, from: number): Place | null {
  for (let generation = from; generation < chain.length; generation++) {
    const { table } = (chain[generation] as Generation).head;
    const content = table.byKey.get(key);
    if (content !== undefined && table.codecs[content] !== "parent") return { generation, content };
  }
  return null;
}

/**
 * By index of the first generation's contents, where each is.
 * @throws {SnapshotError} "parent" if no parent has one
 */
export async function locateAll(chain: Chain, pace: Pace): Promise<readonly Place[]> {
  const [{ source, head }] = chain;
  const places: Place[] = [];
  for (const content of head.table.codecs.keys()) {
    if (content % 1024 === 0) await pace.breathe();
    const place = locate(chain, keyOf(head.table.digest(content)), 0);
    if (place === null)
      throw new SnapshotError("parent", `${source.name}: content ${content} is said to be in a parent, and is in none`);
    places.push(place);
  }
  return places;
}

/**
 * Opens the packs of all generations.
 * @throws {SnapshotError} "size" if one is shorter or longer than its table; "absent", "foreign", "io"
 */
export async function openPacks(chain: Chain): Promise<readonly SnapshotFile[]> {
  const packs: SnapshotFile[] = [];
  try {
    for (const { source, head } of chain) {
      const pack = await openFile(source, head.manifest.pack);
      packs.push(pack);
      checkSize(pack.size, head.table.packBytes, `${source.name}/${head.manifest.pack}`);
    }
    return packs;
  } catch (error) {
    await closeAll(packs);
    throw error;
  }
}

export async function closeAll(files: readonly SnapshotFile[]): Promise<void> {
  await Promise.all(files.map((file) => file.close()));
}
