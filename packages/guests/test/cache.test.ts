import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import { guestCacheDir, withLock, writeWhole } from "../src/cache.js";

const scratch = () => mkdtempSync(join(tmpdir(), "vm-cache-"));

it("keeps guests below VM_CACHE_DIR, else below .cache of the repository", () => {
  expect(guestCacheDir({ VM_CACHE_DIR: "/var/cache/vm" })).toBe("/var/cache/vm/guests");
  expect(guestCacheDir({})).toBe(resolve(import.meta.dirname, "../../../.cache/guests"));
});

it("keeps them in the user's cache where the package is installed", () => {
  expect(guestCacheDir({ XDG_CACHE_HOME: "/c" }, null)).toBe("/c/vm/guests");
  expect(guestCacheDir({ XDG_CACHE_HOME: "relative" }, null)).toBe(join(homedir(), ".cache/vm/guests"));
  expect(guestCacheDir({ VM_CACHE_DIR: "/var/cache/vm" }, null)).toBe("/var/cache/vm/guests");
});

it("writes a file whole and leaves nothing beside it", async () => {
  const dir = scratch();
  await writeWhole(join(dir, "a/b"), "text");
  expect(readdirSync(join(dir, "a"))).toEqual(["b"]);
});

it("lets one holder of a lock run at a time, and says that another waits", async () => {
  const path = join(scratch(), "lock");
  const events: string[] = [];
  let release: () => void = () => undefined;
  const held = new Promise<void>((free) => {
    release = free;
  });
  let first: Promise<void> | undefined;
  await new Promise<void>((taken) => {
    first = withLock(path, async () => {
      events.push("first in");
      taken();
      await held;
      events.push("first out");
    });
  });
  const second = withLock(
    path,
    async () => events.push("second in"),
    (pid) => {
      events.push(pid === process.pid ? "second waits" : `waits for ${pid}`);
      release();
    },
  );
  await Promise.all([first, second]);
  expect(events).toEqual(["first in", "second waits", "first out", "second in"]);
});

it("gives the lock back when the body fails", async () => {
  const path = join(scratch(), "lock");
  await expect(withLock(path, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await withLock(path, async () => "yes")).toBe("yes");
});

it.each([
  ["of a process that is gone", String(spawnSync(process.execPath, ["-e", "0"]).pid)],
  ["that names nobody", ""],
])("takes over the lock %s", async (_what, content) => {
  const path = join(scratch(), "lock");
  writeFileSync(path, content);
  expect(await withLock(path, async () => "mine")).toBe("mine");
});
