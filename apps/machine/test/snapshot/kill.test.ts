import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SnapshotError } from "../../src/snapshot/error.js";
import { openSnapshot } from "../../src/snapshot/node/open.js";
import { writeSnapshot } from "../../src/snapshot/node/write.js";
import { countedFs } from "./counted-fs.js";
import { chunkWith, imageOf, memslot, PAGES } from "./guest-memory.js";
import { temporaryFolder } from "./temporary-folder.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** The writer as a file that Node runs; inside of the package, where its dependencies are found. */
const BUILT = join(ROOT, ".cache", `snapshot-kill-${process.pid}`);
const WRITER = join(BUILT, "killed-writer.js");
/** Moments at which a writer is killed; 0 is every one of two writes, of one into an empty place and one over it. */
const RUNS = Number(process.env.VM_SNAPSHOT_KILLS ?? 0);
const folder = temporaryFolder();

beforeAll(() => {
  mkdirSync(BUILT, { recursive: true });
  const flags = ["--no-config", "test/snapshot/killed-writer.ts", "--format", "esm", "--target", "es2022", "--silent"];
  execFileSync(join(ROOT, "../../node_modules/.bin/tsup"), [...flags, "-d", BUILT], { cwd: ROOT });
});
afterAll(() => rmSync(BUILT, { recursive: true, force: true }));

/** What the writer writes of a number. */
const contentsOf = (state: number): Parameters<typeof writeSnapshot>[1] => ({
  state,
  memory: imageOf(
    [memslot(0, 0, 6 * PAGES)],
    Array.from({ length: 6 }, (_, k) => [k * PAGES, state * 10 + k] as const),
  ),
});

/** The state of the snapshot at `path`, all of which is read and is what belongs to it; null if there is none. */
async function stateOf(path: string): Promise<number | null> {
  let snapshot: Awaited<ReturnType<typeof openSnapshot>>;
  try {
    snapshot = await openSnapshot(path);
  } catch (error) {
    if (error instanceof SnapshotError && error.code === "absent") return null;
    throw error;
  }
  const state = Number(snapshot.state);
  for (let k = 0; k < 6; k++)
    expect(Buffer.compare(await snapshot.readChunk(k), chunkWith({ 0: state * 10 + k }))).toBe(0);
  await snapshot.close();
  return state;
}

const killedAt = async (path: string, state: number, last: number): Promise<void> => {
  const child = spawn(process.execPath, [WRITER, path, `${state}`, `${last}`], { stdio: "inherit" });
  const signal = await new Promise((resolve) => child.once("exit", (_, signal) => resolve(signal)));
  expect(signal).toBe("SIGKILL");
};

/** Calls of one write, by name. */
async function callsOf(path: string, state: number): Promise<readonly string[]> {
  const calls: string[] = [];
  await writeSnapshot(path, contentsOf(state), { fs: countedFs((call) => void calls.push(call)) });
  return calls;
}

describe("after SIGKILL before any call of a writer", () => {
  const timeout = 120_000 + 2_000 * RUNS;
  it("the snapshot is the old one or the new one, and the next write leaves nothing else", { timeout }, async () => {
    const path = join(folder, "killed");
    const first = await callsOf(path, 1);
    const second = await callsOf(path, 2);
    rmSync(path, { recursive: true });
    const all = first.length + second.length;
    const moments = Array.from({ length: RUNS === 0 ? all : RUNS }, (_, k) => 1 + (k % (4 * all)));
    let previous: number | null = null;
    for (const [k, moment] of moments.entries()) {
      const state = 10 * k + 10;
      await killedAt(path, state, moment);
      const found: number | null = await stateOf(path);
      if (found !== previous) {
        expect(found).toBeGreaterThanOrEqual(state);
        expect(found).toBeLessThan(state + 10);
      }
      expect(found === previous).toBe(found === null || found < state);
      // A write has fewer calls than these two: one of it was complete.
      if (moment >= all) expect(found).toBeGreaterThanOrEqual(state);
      previous = found;
    }
    await writeSnapshot(path, contentsOf(7), {});
    expect(await stateOf(path)).toBe(7);
    expect(readdirSync(path).length).toBe(2);
  });
});

const failing = (code: string, at: number): ReturnType<typeof countedFs> => {
  let calls = 0;
  return countedFs((call) => {
    if (++calls === at) throw Object.assign(new Error(`${code}: ${call}`), { code, syscall: call });
  });
};

describe.each([
  ["ENOSPC", "full"],
  ["EDQUOT", "full"],
  ["EROFS", "readonly"],
  ["EACCES", "readonly"],
  ["EIO", "io"],
] as const)("%s at any call", (code, expected) => {
  it.each([
    ["over an old snapshot", true],
    ["where there is none", false],
  ])("%s: it is as it was, and the error says why", async (_, over) => {
    const path = join(folder, `${code}-${over}`);
    if (over) await writeSnapshot(path, contentsOf(1));
    const spare = join(folder, `${code}-${over}-spare`);
    if (over) await writeSnapshot(spare, contentsOf(1));
    const calls = await callsOf(spare, 2);
    const rename = calls.indexOf("rename") + 1;
    expect(rename).toBeGreaterThan(0);
    for (let at = 1; at <= rename; at++) {
      const before = over ? readFileSync(join(path, "snapshot")) : null;
      const error: unknown = await writeSnapshot(path, contentsOf(2), { fs: failing(code, at) }).then(
        () => null,
        (error: unknown) => error,
      );
      expect(error).toBeInstanceOf(SnapshotError);
      expect((error as SnapshotError).code, calls[at - 1]).toBe(expected);
      expect((error as SnapshotError).message).toContain("is as it was");
      expect(await stateOf(path)).toBe(over ? 1 : null);
      if (before !== null) expect(readFileSync(join(path, "snapshot"))).toEqual(before);
      // Only a rename of which it is not known whether it was made leaves files behind.
      if (at < rename && over) expect(readdirSync(path).length, calls[at - 1]).toBe(2);
      if (at < rename && !over) expect(readdirSync(folder)).not.toContain(`${code}-${over}`);
    }
  });
});

it("a failure behind the rename says that the new snapshot is in place", async () => {
  const path = join(folder, "behind");
  await writeSnapshot(path, contentsOf(1));
  const calls = await callsOf(join(folder, "behind-spare"), 2);
  expect(calls.at(-1)).toBe("syncFolder");
  // One call fewer than in a folder of its own: it need not be made.
  const at = calls.length - 2;
  await expect(writeSnapshot(path, contentsOf(2), { fs: failing("EIO", at) })).rejects.toThrow(/is in place/);
  expect(await stateOf(path)).toBe(2);
});

it("a pack that cannot be removed is named, and goes with the next write", async () => {
  const path = join(folder, "left");
  await writeSnapshot(path, contentsOf(1));
  const fs = countedFs((call) => {
    if (call === "remove") throw Object.assign(new Error("EBUSY"), { code: "EBUSY", syscall: "unlink" });
  });
  expect((await writeSnapshot(path, contentsOf(2), { fs })).leftBehind).toEqual(["chunks-1"]);
  expect(await stateOf(path)).toBe(2);
  expect((await writeSnapshot(path, contentsOf(3))).leftBehind).toEqual([]);
  expect(readdirSync(path).length).toBe(2);
});
