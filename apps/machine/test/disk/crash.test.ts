import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { MemoryDisk, MemoryStore, Qcow2Disk } from "../../src/index.js";
import { type LogEntry, LoggedStore } from "./logged-store.js";
import { check, hasQemuImg, qemuImg } from "./qemu-img.js";

const dir = mkdtempSync(join(tmpdir(), "vm-crash-"));
afterAll(() => rmSync(dir, { recursive: true }));
const path = join(dir, "image.qcow2");

const MIB = 2 ** 20;
const SECTORS = (2 * MIB) / 512;
const RUNS = Number(process.env.VM_QCOW2_RUNS ?? 1);
/** Moments at which each run is cut. */
const CUTS = 6;
const WHOLE = Number.POSITIVE_INFINITY;

/** A row of numbers that follows from its seed. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) | 0;
    return Math.floor(((this.#state >>> 8) / 2 ** 24) * limit);
  }
}

/** What is below: sector n is full of n. */
const below = new Uint8Array(SECTORS * 512).map((_, k) => k >> 9);
const base = join(dir, "base.raw");

function create(options: string, filled: boolean, snapshot: boolean): Uint8Array {
  writeFileSync(base, below);
  rmSync(path, { force: true });
  const flags = ["-q", "-f", "qcow2", "-o", options];
  if (filled) qemuImg("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, base, path);
  else qemuImg("create", ...flags, "-b", base, "-F", "raw", path);
  if (snapshot) qemuImg("snapshot", "-c", "before", path);
  return new Uint8Array(readFileSync(path));
}

interface Write {
  readonly sector: number;
  readonly count: number;
  readonly flush: boolean;
}

const write: fc.Arbitrary<Write> = fc.record({
  sector: fc.nat(SECTORS - 1),
  count: fc.integer({ min: 1, max: 200 }),
  flush: fc.boolean(),
});

/** A write of the guest: number of it fills its sectors; when it was done, and when it was flushed, as lengths of the log. */
interface Done {
  readonly from: number;
  readonly to: number;
  readonly fill: number;
  readonly begun: number;
  readonly done: number;
  flushed: number;
}

async function history(store: LoggedStore, writes: readonly Write[]): Promise<Done[]> {
  const disk = await Qcow2Disk.open(store, { openBacking: async () => new MemoryDisk(below, { readonly: true }) });
  const done: Done[] = [];
  let under: { readonly from: number; readonly to: number; readonly end: Promise<void> }[] = [];
  for (const [k, { sector, count, flush }] of writes.entries()) {
    const [from, to] = [sector, Math.min(sector + count, SECTORS)];
    const fill = 255 - (k % 100);
    const settle = async (): Promise<void> => {
      await Promise.all(under.map(({ end }) => end));
      under = [];
    };
    // Several at a time, as long as they do not touch each other.
    if (under.some((other) => from < other.to && other.from < to)) await settle();
    const begun = store.log.length;
    const end = disk.write(sector, new Uint8Array((to - from) * 512).fill(fill)).then(() => {
      done[k] = { from, to, fill, begun, done: store.log.length, flushed: Number.POSITIVE_INFINITY };
    });
    under.push({ from, to, end });
    if (!flush) continue;
    await settle();
    await disk.flush();
    for (const earlier of done) earlier.flushed = Math.min(earlier.flushed, store.log.length);
  }
  await Promise.all(under.map(({ end }) => end));
  await disk.close();
  return done;
}

/** Every sector holds what the last write before it made sure of left there, or what a later one began to. */
async function expectContents(
  image: Uint8Array,
  history: readonly Done[],
  at: number,
  sureAt: number,
  when: "done" | "flushed",
): Promise<void> {
  const disk = await Qcow2Disk.open(new MemoryStore(image, { readonly: true }), {
    openBacking: async () => new MemoryDisk(below, { readonly: true }),
  });
  const seen = new Uint8Array(SECTORS * 512);
  await disk.read(0, seen);
  const wrong: number[] = [];
  for (let sector = 0; sector < SECTORS; sector++) {
    const own = history.filter(({ from, to, begun }) => sector >= from && sector < to && begun < at);
    const sure = own.findLastIndex((write) => write[when] <= sureAt);
    const allowed = new Set(own.slice(Math.max(sure, 0)).map(({ fill }) => fill));
    if (sure < 0) allowed.add(sector & 0xff);
    if (!allowed.has(seen[sector * 512] ?? -1) || !allowed.has(seen[sector * 512 + 511] ?? -1)) wrong.push(sector);
  }
  expect(wrong).toEqual([]);
}

describe.skipIf(!hasQemuImg).each([
  ["over a backing file", "cluster_size=4k", false, false],
  ["with small clusters and a refcount table that has to grow", "cluster_size=512,refcount_bits=64", false, false],
  ["over compressed clusters", "cluster_size=16k", true, false],
  ["beside an internal snapshot", "cluster_size=16k", true, true],
])("a qcow2 image that is written %s", (_, options, filled, snapshot) => {
  const runs = async (cut: (store: LoggedStore, done: Done[], random: Random) => Promise<void>): Promise<void> => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(write, { minLength: 3, maxLength: 25 }), async (seed, writes) => {
        const store = new LoggedStore(create(options, filled, snapshot));
        await cut(store, await history(store, writes), new Random(seed));
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
  };
  const expectSound = (image: Uint8Array): void => {
    writeFileSync(path, image);
    const { errors, corruptions } = check(path);
    expect({ errors, corruptions }).toEqual({ errors: 0, corruptions: 0 });
  };

  it("is sound after the end of the process at any moment, and every write that was done is there", async () => {
    await runs(async (store, done, random) => {
      for (let cuts = 0; cuts < CUTS; cuts++) {
        const at = random.below(store.log.length + 1);
        const torn = random.below(2) === 0 ? WHOLE : random.below(4096);
        const image = store.replay(store.log.slice(0, at), torn);
        expectSound(image);
        // The last entry may be torn: what it belongs to is not done.
        await expectContents(image, done, at, torn === WHOLE ? at : at - 1, "done");
      }
    });
  });

  it("is sound after the end of the host at any moment, and every write that was flushed is there", async () => {
    await runs(async (store, done, random) => {
      for (let cuts = 0; cuts < CUTS; cuts++) {
        const at = random.below(store.log.length + 1);
        const flushed = store.log.lastIndexOf(null, Math.max(0, at - 1));
        const durable = store.log.slice(0, flushed + 1);
        const lucky = store.log.slice(flushed + 1, at).filter(() => random.below(2) === 0);
        const kept: LogEntry[] = [...durable, ...lucky];
        const image = store.replay(kept);
        expectSound(image);
        await expectContents(image, done, at, at, "flushed");
      }
    });
  });
});
