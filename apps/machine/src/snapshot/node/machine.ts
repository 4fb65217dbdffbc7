import { rename, rm, writeFile } from "node:fs/promises";
import { MachineError } from "../../error.js";
import type { Machine } from "../../machine.js";
import { type MachineSnapshot, TakenSnapshot } from "../../machine-snapshot.js";
import { type LoadSnapshotOptions, loadFrom } from "../load.js";
import type { StoredSnapshot } from "../pieces.js";
import type { SnapshotWork } from "../snapshot.js";
import { encodeWorkingSet } from "../working-set.js";
import { sourceOf } from "./open.js";
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

/**
 * Opens the snapshot in a folder, or at a URL where a web server has the files of one; nothing of it is changed, and any number of machines can go on from it.
 * @param folder a path, or an `http:` or `https:` URL
 * @throws {SnapshotError}
 * @example await using machine = await createMachine({ snapshot: await loadSnapshot("booted") });
 */
export function loadSnapshot(folder: string, options: LoadSnapshotOptions = {}): Promise<StoredSnapshot> {
  return loadFrom(sourceOf(folder, options), options);
}

/**
 * Writes which chunks of a lazy snapshot a machine has needed, for who reads them ahead the next time: as `working-set` in the snapshot's folder, that is done for every
 * machine that goes on from there.
 * @param file a path; what is there is replaced, at once
 * @param machine made from `snapshot`, which was loaded with `lazy`, and best without `readAhead`
 * @throws {MachineError} `option` for a machine that had all of its memory; what the file system says
 * @example await saveWorkingSet("booted/working-set", snapshot, machine);
 */
export async function saveWorkingSet(
  file: string,
  snapshot: Pick<StoredSnapshot, "id">,
  { memory }: Pick<Machine, "memory">,
): Promise<void> {
  const { residency } = memory;
  if (residency === null)
    throw new MachineError("option", "a working set is that of a machine whose snapshot was loaded with lazy");
  const bytes = encodeWorkingSet({ snapshot: snapshot.id, chunks: residency.demanded });
  const temporary = `${file}.new`;
  try {
    await writeFile(temporary, bytes);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
