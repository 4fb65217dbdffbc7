import { dirname, join, resolve } from "node:path";
import type { Pace } from "../../pace.js";
import { type Chain, closeAll, locate, openPacks, readChain } from "../chain.js";
import { SnapshotError } from "../error.js";
import { LIMITS } from "../layout.js";
import { checkParentName, type ParentName } from "../manifest.js";
import { folderName } from "./folder-source.js";
import type { SnapshotFs } from "./snapshot-fs.js";

/** The parent of a snapshot that is being written. */
export interface WrittenParent extends ParentName {
  /** Whether it or one of its own parents has a content, by the key of its digest. */
  has(key: string): boolean;
}

/**
 * @param path of the snapshot that is being written
 * @param parent of its parent
 * @throws {SnapshotError} "parent" if it does not lie beside, "chain" if it needs what is being replaced or has too many parents itself, and what opening it throws
 */
export async function openParent(fs: SnapshotFs, path: string, parent: string, pace: Pace): Promise<WrittenParent> {
  const folder = dirname(resolve(path));
  const name = folderName(parent);
  checkParentName(name, path);
  if (dirname(resolve(parent)) !== folder)
    throw new SnapshotError("parent", `${path}: its parent ${parent} does not lie in the same folder`);
  if ((await fs.kindOf(parent)) === "other")
    throw new SnapshotError("foreign", `${parent} is a link or a device: the parent of a snapshot is a folder`);
  const chain = await readChain(fs.source(parent), pace);
  if (chain.length > LIMITS.parents)
    throw new SnapshotError("chain", `${path}: more than ${LIMITS.parents} parents behind each other`);
  await refuseItself(fs, path, chain, folder);
  await closeAll(await openPacks(chain));
  return { name, id: chain[0].head.id, has: (key) => locate(chain, key, 0) !== null };
}

/** A snapshot that is replaced is gone: its children are, too. */
async function refuseItself(fs: SnapshotFs, path: string, chain: Chain, folder: string): Promise<void> {
  const own = await fs.identityOf(path);
  for (const { name } of chain)
    if ((await fs.identityOf(join(folder, folderName(name)))) === own)
      throw new SnapshotError("chain", `${path}: its parent needs the snapshot that it would replace`);
}
