import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** The repository this package is developed in, null where it is installed. */
function ownRepository(): string | null {
  const root = fileURLToPath(new URL("../../../", import.meta.url));
  return existsSync(join(root, "pnpm-workspace.yaml")) ? root : null;
}

/**
 * The directory the guests are kept in: `guests` below `VM_CACHE_DIR` if that is set; else below `.cache` of the repository this package is
 * developed in; where it is installed `vm/guests` below `XDG_CACHE_HOME`, which is `~/.cache` by default. It need not exist yet.
 */
export function guestCacheDir(
  env: Readonly<Record<string, string | undefined>> = process.env,
  repository: string | null = ownRepository(),
): string {
  if (env.VM_CACHE_DIR) return join(resolve(env.VM_CACHE_DIR), "guests");
  if (repository !== null) return join(repository, ".cache", "guests");
  // The specification has relative paths ignored.
  const cache = env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME) ? env.XDG_CACHE_HOME : join(homedir(), ".cache");
  return join(cache, "vm", "guests");
}

/** Writes a file so that it is seen whole or not at all. */
export async function writeWhole(path: string, data: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const scratch = `${path}.${process.pid}.part`;
  await writeFile(scratch, data);
  await rename(scratch, path);
}

const LOCK_POLL_MS = 200;

/**
 * Runs `body` while holding the lock file `path`, so that one process at a time fills a cache. A lock whose process is
 * gone is taken over. `onWait` is called once when another process holds it.
 */
export async function withLock<T>(path: string, body: () => Promise<T>, onWait?: (pid: number) => void): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  let waited = false;
  while (!(await take(path))) {
    const holder = await holderOf(path);
    if (holder === undefined) continue; // given back since
    if (!alive(holder)) {
      await rm(path, { force: true });
      continue;
    }
    if (!waited) onWait?.(holder);
    waited = true;
    await delay(LOCK_POLL_MS);
  }
  try {
    return await body();
  } finally {
    await rm(path, { force: true });
  }
}

/** Makes the lock file, whole: whoever sees it sees its holder's process id in it. */
async function take(path: string): Promise<boolean> {
  const mine = `${path}.${process.pid}.${randomUUID()}`;
  await writeFile(mine, String(process.pid));
  try {
    await link(mine, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await rm(mine, { force: true });
  }
}

/** The process id in a lock file, NaN or 0 if there is none in it, undefined if there is no file. */
async function holderOf(path: string): Promise<number | undefined> {
  try {
    return Number(await readFile(path, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function alive(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
