import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { SnapshotError } from "../../src/snapshot/error.js";
import { CHUNK_BYTES } from "../../src/snapshot/layout.js";
import { openSnapshot } from "../../src/snapshot/node/open.js";
import { writeSnapshot } from "../../src/snapshot/node/write.js";
import { craft, type Edit } from "./craft.js";
import { imageOf, memslot, PAGES } from "./guest-memory.js";
import { temporaryFolder } from "./temporary-folder.js";

const CASES = Number(process.env.VM_SNAPSHOT_CORRUPT ?? 3000);
const timeout = 60_000 + 20 * CASES;
/** Bytes that the process may have more behind all cases than in their middle. */
const GROWTH = 256 * 2 ** 20;

const folder = temporaryFolder();

/** Numbers that follow from a seed. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  }

  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) | 0;
    return Math.floor(((this.#state >>> 8) / 2 ** 24) * limit);
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }
}

const SLOTS = [memslot(0, 0, 8 * PAGES)];

/** All that a snapshot says, to be compared; the code of the error if it says nothing. */
async function whatItSays(path: string): Promise<string> {
  try {
    const snapshot = await openSnapshot(path);
    try {
      const chunks: string[] = [];
      for (const chunk of snapshot.chunks) {
        const bytes = await snapshot.readChunk(chunk);
        if (bytes.length !== CHUNK_BYTES) throw new Error(`a chunk of ${bytes.length} bytes`);
        chunks.push(`${chunk}: ${Buffer.from(bytes).toString("latin1")}`);
      }
      const { id, state, meta, memslots, parents } = snapshot;
      // JSON has no bigints.
      const plain = (_: string, value: unknown): unknown => (typeof value === "bigint" ? `${value}n` : value);
      return JSON.stringify([id, state, meta, memslots, parents, chunks], plain);
    } finally {
      await snapshot.close();
    }
  } catch (error) {
    if (error instanceof SnapshotError) return error.code;
    throw error;
  }
}

/** The files of two folders, by path. */
type Files = ReadonlyMap<string, Buffer>;

/** One way of damage: which file, and what it holds then; null is nothing. */
function damage(random: Random, files: Files): readonly [path: string, bytes: Buffer | null] {
  const path = random.pick([...files.keys()]);
  const bytes = Buffer.from(files.get(path) as Buffer);
  const at = random.below(random.below(2) === 0 ? bytes.length : Math.min(bytes.length, 200));
  const [before, behind] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (random.below(8)) {
    case 0:
      return [path, before];
    case 1:
      return [path, Buffer.concat([bytes, bytes.subarray(0, 1 + at)])];
    case 2:
      return [path, random.pick([...files.values()])];
    case 3:
      return [path, Buffer.concat([before, Buffer.of(random.below(256)), behind])];
    case 4:
      return [path, null];
    case 5:
      bytes.writeUInt32LE(random.pick([0, 1, 0xffff_ffff, 0x8000_0000]), Math.min(at, bytes.length - 4));
      return [path, bytes];
    default:
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      return [path, bytes];
  }
}

it(`${CASES} damaged snapshots are refused by a typed error, or say what a sound one does`, { timeout }, async () => {
  const sound = join(folder, "sound");
  mkdirSync(sound);
  const state = { board: [1, 2n, "three", Uint8Array.of(4)], cpus: [{ rip: 0xffff_ffff_8000_0000n }] };
  const pages = [1, 2, 3, 1, 0, 4].map((seed, chunk) => [chunk * PAGES, seed] as const);
  await writeSnapshot(join(sound, "parent"), { state, memory: imageOf(SLOTS, pages) });
  const next = pages.map(([gfn, seed], chunk) => [gfn, chunk === 2 ? 9 : seed] as const);
  const parent = join(sound, "parent");
  await writeSnapshot(join(sound, "child"), {
    meta: { n: 1 },
    state: { ...state, board: null },
    memory: imageOf(SLOTS, next),
    parent,
  });
  const says = await whatItSays(join(sound, "child"));
  // Files may have changed places, and so may a whole snapshot.
  const parentSays = await whatItSays(parent);
  const codes = new Map<string, number>();
  const files: Files = new Map(
    ["parent", "child"]
      .flatMap((name) => readdirSync(join(sound, name)).map((file) => join(sound, name, file)))
      .map((path) => [path, readFileSync(path)]),
  );
  let middle = 0;
  for (let seed = 0; seed < CASES; seed++) {
    const random = new Random(seed);
    const damaged = Array.from({ length: 1 + random.below(2) }, () => damage(random, files));
    for (const [path, bytes] of damaged) {
      rmSync(path, { force: true });
      if (bytes !== null) writeFileSync(path, bytes);
    }
    const said = await whatItSays(join(sound, "child"));
    if (said.length > 20) expect(said === says || said === parentSays, `seed ${seed}`).toBe(true);
    const code = said.length > 20 ? "same" : said;
    codes.set(code, (codes.get(code) ?? 0) + 1);
    for (const [path] of damaged) writeFileSync(path, files.get(path) as Buffer);
    if (seed === CASES >> 1) middle = process.memoryUsage().rss;
  }
  expect(process.memoryUsage().rss - middle).toBeLessThan(GROWTH);
  for (const code of ["same", "absent", "foreign", "size", "corrupt"]) expect([...codes.keys()]).toContain(code);
});

it(`${CASES} snapshots whose checksums are right and whose contents are not are refused by a typed error, or are read`, {
  timeout,
}, async () => {
  const path = join(folder, "crafted");
  const codes = new Map<string, number>();
  let middle = 0;
  for (let seed = 0; seed < CASES; seed++) {
    const random = new Random(seed);
    craft(path, mistaken(random));
    const said = await whatItSays(path);
    const code = said.length > 20 ? "read" : said;
    codes.set(code, (codes.get(code) ?? 0) + 1);
    if (seed === CASES >> 1) middle = process.memoryUsage().rss;
  }
  expect(process.memoryUsage().rss - middle).toBeLessThan(GROWTH);
  for (const code of ["newer", "size", "corrupt", "range", "limit", "parent"])
    expect([...codes.keys()]).toContain(code);
});

/** A number that is too large, too small, or none. */
const odd = (random: Random): unknown =>
  random.pick([
    0,
    1,
    2,
    -1,
    0.5,
    4096,
    65536,
    2 ** 20,
    2 ** 31,
    2 ** 32,
    2 ** 48,
    2 ** 53,
    Number.NaN,
    1e300,
    5n,
    null,
    "1",
    [],
    {},
    true,
  ]);

const noise = (random: Random, length: number): Uint8Array => Uint8Array.from({ length }, () => random.below(256));

function mistaken(random: Random): Edit {
  const word = (): number => random.pick([0, 1, 2, 3, 4, 65535, 65536, 2 ** 31, 2 ** 32 - 1, random.below(2 ** 24)]);
  switch (random.below(7)) {
    case 0:
      return { manifest: { [random.pick(["memslots", "parent", "pack", "chunks", "contents", "meta"])]: odd(random) } };
    case 1: {
      const slot = { ...memslot(0, 0, 64), [random.pick(["slot", "gpa", "size", "readonly"])]: odd(random) };
      return { manifest: { memslots: random.below(2) === 0 ? [slot] : [memslot(1, 64, 64), slot] } };
    }
    case 2:
      return { entry: { [random.pick(["stored", "codec", "chunk", "content"])]: word() } };
    case 3:
      return { chunkEntries: Array.from({ length: 2 * random.below(5) }, word), contents: random.below(3) };
    case 4:
      return { state: noise(random, random.below(40)) };
    case 5:
      return { packed: noise(random, 1 + random.below(300)), entry: { codec: 1 + random.below(3) } };
    default:
      return random.pick<Edit>([
        { version: word() },
        { stateLength: word() },
        { manifest: { parent: { name: random.pick(["..", "crafted", "x/y"]), id: "0".repeat(64) } } },
      ]);
  }
}
