import { StoredSnapshot } from "./pieces.js";
import { type ReadOptions, Snapshot } from "./snapshot.js";
import type { SnapshotSource } from "./source.js";
import { decodeWorkingSet, readWorkingSet } from "./working-set.js";

export interface LoadSnapshotOptions extends Pick<ReadOptions, "signal"> {
  /**
   * The machine starts before its memory has been read, which is done when the guest needs it. Close the snapshot when the machine has ended. If memory cannot be
   * read the machine ends with `internal-error` and what was wrong. Default false.
   */
  readonly lazy?: boolean | undefined;
  /**
   * With `lazy`, read what the snapshot's file `working-set` names, if there is one, in the background from now on: several ranges at once, beside what the guest needs
   * just then. Default true.
   */
  readonly readAhead?: boolean | undefined;
}

/** Opens a snapshot for machines. @throws {SnapshotError} */
export async function loadFrom(
  source: SnapshotSource,
  { lazy = false, readAhead = true, signal }: LoadSnapshotOptions,
): Promise<StoredSnapshot> {
  if (!lazy || !readAhead) return new StoredSnapshot(await Snapshot.read(source, { signal }), lazy);
  const [snapshot, bytes] = await both(Snapshot.read(source, { signal }), readWorkingSet(source));
  try {
    if (bytes !== null) snapshot.readAhead(decodeWorkingSet(bytes, source, snapshot));
  } catch (error) {
    await snapshot.close();
    throw error;
  }
  return new StoredSnapshot(snapshot, lazy);
}

/** Both results; if only the second fails the first is let go of. */
async function both<T extends { close(): Promise<void> }, U>(first: Promise<T>, second: Promise<U>): Promise<[T, U]> {
  const [a, b] = await Promise.allSettled([first, second]);
  if (a.status === "rejected") throw a.reason;
  if (b.status === "fulfilled") return [a.value, b.value];
  await a.value.close();
  throw b.reason;
}
