import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { open } from "node:fs/promises";

/** Folders that this process writes into, by device and inode. */
const held = new Set<string>();

/**
 * Keeps other writers out of a folder: a table within this process, flock(2) on the folder towards others. Node cannot call that, but the lock belongs to the open folder:
 * flock(1) takes it on the descriptor it is given, and the kernel drops it when this process ends, whatever ends it. Where there is no flock(1) only this process is guarded.
 * @returns what releases it; null if someone has it
 */
export async function lockFolder(path: string): Promise<(() => Promise<void>) | null> {
  if (process.platform === "win32") return async () => undefined;
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  let identity: string | null = null;
  try {
    const { dev, ino } = await handle.stat({ bigint: true });
    const own = `${dev}:${ino}`;
    if (!held.has(own)) {
      held.add(own);
      identity = own;
      if (await flock(handle.fd))
        return async () => {
          held.delete(own);
          await handle.close();
        };
    }
  } catch (error) {
    await handle.close();
    throw error;
  }
  if (identity !== null) held.delete(identity);
  await handle.close();
  return null;
}

/** Whether nobody else has it. */
const flock = (fd: number): Promise<boolean> =>
  new Promise((resolve) => {
    const child = spawn("flock", ["-x", "-n", "3"], { stdio: ["ignore", "ignore", "ignore", fd] });
    child.once("error", () => resolve(true));
    child.once("exit", (status) => resolve(status !== 1));
  });
