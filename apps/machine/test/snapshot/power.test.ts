import { describe, expect, it } from "vitest";
import { SnapshotError } from "../../src/snapshot/error.js";
import { writeSnapshot } from "../../src/snapshot/node/write.js";
import { Snapshot } from "../../src/snapshot/snapshot.js";
import { DurableFs, PowerLoss } from "./durable-fs.js";
import { imageOf, memslot, PAGES } from "./guest-memory.js";

/** What a power loss keeps, for each moment of it. */
const OUTCOMES = 20;

const write = (fs: DurableFs, state: number): Promise<unknown> => {
  const pages = [0, 1, 2].map((k) => [k * PAGES, 10 * state + k] as const);
  return writeSnapshot("s", { state, memory: imageOf([memslot(0, 0, 3 * PAGES)], pages) }, { fs });
};

/** The state of the snapshot that is there, all of which is read; null if there is none. */
async function stateOf(fs: DurableFs): Promise<unknown> {
  try {
    const snapshot = await Snapshot.read(fs.source("s"));
    await snapshot.verify();
    return snapshot.state;
  } catch (error) {
    if (error instanceof SnapshotError && error.code === "absent") return null;
    throw error;
  }
}

/** Draws numbers that follow from a seed. */
function drawing(seed: number): (limit: number) => number {
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Math.floor(((state >>> 8) / 2 ** 24) * limit);
  };
}

describe("after a power loss before any call", () => {
  it.each([
    ["over an old one", 1],
    ["where there was none", null],
  ])("%s: the old snapshot or the new one is there, whole, and the next write works", async (_, old) => {
    const whole = new DurableFs();
    if (old !== null) await write(whole, old);
    const before = whole.calls;
    await write(whole, 2);
    const calls = whole.calls - before;
    const seen = new Set<unknown>();
    for (let loss = 1; loss <= calls; loss++) {
      for (let outcome = 0; outcome < OUTCOMES; outcome++) {
        const below = drawing(loss * OUTCOMES + outcome);
        const fs = new DurableFs();
        if (old !== null) await write(fs, old);
        fs.lossAt = fs.calls + loss;
        const failure: unknown = await write(fs, 2).then(
          () => null,
          (error: unknown) => error,
        );
        // Removing the old pack, which is the end of it, may fail.
        if (failure !== null) expect(failure).toBeInstanceOf(PowerLoss);
        fs.restart(below);
        const found = await stateOf(fs);
        expect([old, 2], `call ${loss}, outcome ${outcome}`).toContain(found);
        if (failure === null) expect(found).toBe(2);
        seen.add(found);
        await write(fs, 3);
        expect(await stateOf(fs)).toBe(3);
      }
    }
    expect(seen).toEqual(new Set([old, 2]));
  });
});
