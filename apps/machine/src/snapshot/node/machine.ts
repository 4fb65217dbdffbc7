import { MachineError } from "../../error.js";
import { type MachineSnapshot, TakenSnapshot } from "../../machine-snapshot.js";
import { StoredSnapshot } from "../pieces.js";
import type { SnapshotWork } from "../snapshot.js";
import { openSnapshot } from "./open.js";
import { type WrittenSnapshot, writeSnapshot } from "./write.js";

export interface SaveSnapshotOptions extends SnapshotWork {
  /** Folder beside of a snapshot that stays as it is: memory that it has is not stored again. */
  readonly parent?: string | undefined;
}

/**
 * Writes what `Machine.snapshot` gave into a folder, in place of a snapshot that is there. Whatever ends this program or the host meanwhile leaves the old one or the new one.
 * @throws {SnapshotError} and the signal's reason; {@link MachineError} `option` for a snapshot that was read from a folder
 * @example await saveSnapshot("booted", await machine.snapshot());
 */
export function saveSnapshot(
  folder: string,
  snapshot: MachineSnapshot,
  { parent, ...work }: SaveSnapshotOptions = {},
): Promise<WrittenSnapshot> {
  if (!(snapshot instanceof TakenSnapshot))
    throw new MachineError(
      "option",
      "saveSnapshot takes what Machine.snapshot gave: a folder of a snapshot can be copied",
    );
  const { meta, state, memory } = snapshot;
  return writeSnapshot(folder, { meta, state, memory, parent }, work);
}

export interface LoadSnapshotOptions extends Pick<SnapshotWork, "signal"> {
  /**
   * The machine starts before its memory has been read, which is done when the guest needs it. Close the snapshot when the machine has ended. If memory cannot be
   * read the machine ends with `internal-error` and what was wrong. Default false.
   */
  readonly lazy?: boolean | undefined;
}

/**
 * Opens the snapshot in a folder, or at a URL where a web server has the files of one; nothing of it is changed, and any number of machines can go on from it.
 * @param folder a path, or an `http:` or `https:` URL
 * @throws {SnapshotError}
 * @example await using machine = await createMachine({ snapshot: await loadSnapshot("booted") });
 */
export async function loadSnapshot(
  folder: string,
  { lazy = false, signal }: LoadSnapshotOptions = {},
): Promise<StoredSnapshot> {
  return new StoredSnapshot(await openSnapshot(folder, { signal }), lazy);
}
