import { spawnSync } from "node:child_process";
import { DiskError } from "../error.js";
import type { FileStore } from "./file-store.js";

/** How an image is used: by several who read, or by one who writes. */
export type LockMode = "shared" | "exclusive";

/** Who has which image open in this process: readers counted, a writer as -1. */
const open = new Map<string, number>();

/**
 * Takes the lock of an image: one writer or any number of readers, by device and inode, so however the file is reached. Within this process a
 * table knows; towards others it is flock(2) on the open file. Node cannot call that, but the lock belongs to the open file, not to who took it: flock(1)
 * takes it on the descriptor it is given and ends, and the kernel drops it when this process ends, whatever ends it.
 *
 * Where there is no flock(1), or a file system has no locks, only this process is guarded. Programs that lock in other ways (QEMU) are not seen.
 * The lock ends when the store is closed.
 * @throws {DiskError} "busy" if someone else has the image open in a way that does not go with `mode`
 */
export function lockImage(store: FileStore, mode: LockMode): void {
  const { identity } = store;
  const users = open.get(identity) ?? 0;
  if (users < 0) throw new DiskError("busy", "this process has it open for writing already");
  if (users > 0 && mode === "exclusive") throw new DiskError("busy", "this process has it open already");
  const flag = mode === "exclusive" ? "-x" : "-s";
  const { status } = spawnSync("flock", [flag, "-n", "3"], { stdio: ["ignore", "ignore", "ignore", store.fd] });
  if (status === 1) {
    const how = mode === "exclusive" ? "another process has it open" : "another process has it open for writing";
    throw new DiskError("busy", how);
  }
  open.set(identity, mode === "exclusive" ? -1 : users + 1);
  store.whenClosed(() => {
    const left = mode === "exclusive" ? 0 : (open.get(identity) ?? 1) - 1;
    if (left === 0) open.delete(identity);
    else open.set(identity, left);
  });
}
