import { dirname, join, resolve } from "node:path";
import { Pace } from "../../pace.js";
import { SnapshotError } from "../error.js";
import { openFile, readHead, readUpTo } from "../head.js";
import { HEADER_BYTES, hasMagic } from "../header.js";
import { HEAD_NAME, NEW_HEAD_NAME, PACK_NAME, WORKING_SET_NAME } from "../layout.js";
import type { SnapshotFs } from "./snapshot-fs.js";

/** The folder that a snapshot is written into, held against other writers. */
export interface Target {
  /** Whether it was not there before. */
  readonly made: boolean;
  /** Name of the pack to be: none that any earlier snapshot here had while it could still be open. */
  readonly pack: string;
  /** Whether there is a working set, which the snapshot to be has nothing to do with. */
  readonly workingSet: boolean;
  readonly release: () => Promise<void>;
}

/**
 * Makes the folder, or makes sure that it is one of a snapshot, and removes what writes that were killed have left.
 * @throws {SnapshotError} "foreign" for anything else, which is left as it is; "busy" if someone writes there
 */
export async function claim(fs: SnapshotFs, path: string): Promise<Target> {
  const kind = await fs.kindOf(path);
  if (kind !== "nothing" && kind !== "folder")
    throw new SnapshotError(
      "foreign",
      `${path} is ${kind === "file" ? "a file" : "a link or a device"}, and is not replaced: a snapshot is a folder, or is to be one`,
    );
  const made = kind === "nothing";
  if (made) {
    try {
      await fs.makeFolder(path);
    } catch (error) {
      // Someone else was quicker.
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return claim(fs, path);
      throw error;
    }
  }
  const release = await fs.lock(path);
  // Whoever has it may be about to write its first file: an empty folder is removed by nobody else.
  if (release === null) throw new SnapshotError("busy", `${path}: a snapshot is being written there`);
  try {
    if (made) await fs.syncFolder(dirname(resolve(path)));
    return { made, release, ...(await clear(fs, path)) };
  } catch (error) {
    // What counts is why: a folder that stays is empty, and the next write takes it.
    if (made) await fs.removeFolder(path).catch(() => undefined);
    await release();
    throw error;
  }
}

async function clear(fs: SnapshotFs, path: string): Promise<Pick<Target, "pack" | "workingSet">> {
  const names = await fs.list(path);
  if (names.includes(HEAD_NAME)) await checkHead(fs, path);
  else {
    const foreign = names.find((name) => name !== NEW_HEAD_NAME && !PACK_NAME.test(name));
    if (foreign !== undefined)
      throw new SnapshotError(
        "foreign",
        `${path} is no snapshot, and is not made one: it holds ${JSON.stringify(foreign)}; give a folder that is not there, is empty, or is a snapshot`,
      );
  }
  const current = names.includes(HEAD_NAME) ? await packOf(fs, path) : null;
  // Which packs are those of a damaged snapshot is not known: they stay until there is another one.
  if (current !== null || !names.includes(HEAD_NAME))
    for (const name of names) if (PACK_NAME.test(name) && name !== current) await fs.remove(join(path, name));
  if (names.includes(NEW_HEAD_NAME)) await fs.remove(join(path, NEW_HEAD_NAME));
  const last = Math.max(0, ...names.map((name) => Number(PACK_NAME.exec(name)?.[1] ?? 0)));
  return { pack: `chunks-${last + 1}`, workingSet: names.includes(WORKING_SET_NAME) };
}

/** @throws {SnapshotError} "foreign" if the head is not one */
async function checkHead(fs: SnapshotFs, path: string): Promise<void> {
  const source = fs.source(path);
  const file = await openFile(source, HEAD_NAME);
  try {
    if (hasMagic(await readUpTo(file, 0, HEADER_BYTES, `${path}/${HEAD_NAME}`))) return;
  } finally {
    await file.close();
  }
  throw new SnapshotError(
    "foreign",
    `${path} is no snapshot, and is not replaced: its file ${HEAD_NAME} is something else`,
  );
}

/** Name of the pack of the snapshot that is there; null if it is damaged, which is no reason to keep it. */
async function packOf(fs: SnapshotFs, path: string): Promise<string | null> {
  try {
    return (await readHead(fs.source(path), false, new Pace())).manifest.pack;
  } catch (error) {
    if (error instanceof SnapshotError && error.code !== "io") return null;
    throw error;
  }
}

/** Removes the packs of earlier snapshots. @returns the names of those that could not be removed: the next write tries again */
export async function removeOthers(fs: SnapshotFs, path: string, pack: string): Promise<readonly string[]> {
  const left: string[] = [];
  for (const name of await fs.list(path)) {
    if (!PACK_NAME.test(name) || name === pack) continue;
    await fs.remove(join(path, name)).catch(() => left.push(name));
  }
  return left;
}

/** Removes what a write that failed has made. What cannot be removed is left to the next write: the reason of the failure is what its caller has to hear. */
export async function undo(fs: SnapshotFs, path: string, { made, pack }: Target): Promise<void> {
  for (const name of [NEW_HEAD_NAME, pack]) await fs.remove(join(path, name)).catch(() => undefined);
  if (made) await fs.removeFolder(path).catch(() => undefined);
}
