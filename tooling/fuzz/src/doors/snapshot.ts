import { hexOf } from "../../../../apps/machine/src/snapshot/digest.js";
import { SnapshotError } from "../../../../apps/machine/src/snapshot/error.js";
import { HEADER_BYTES, OWN_DIGEST } from "../../../../apps/machine/src/snapshot/header.js";
import { CHUNK_BYTES } from "../../../../apps/machine/src/snapshot/layout.js";
import { Snapshot } from "../../../../apps/machine/src/snapshot/snapshot.js";
import type { SnapshotSource } from "../../../../apps/machine/src/snapshot/source.js";
import { nodeUnpack, portableUnpack } from "../../../../apps/machine/src/snapshot/unpack.js";
import { decodeWorkingSet, readWorkingSet } from "../../../../apps/machine/src/snapshot/working-set.js";
import { craftFiles, type Edit } from "../../../../apps/machine/test/snapshot/craft.js";
import { type Door, Violation } from "../door.js";
import { Random } from "../random.js";

const NUMBERS = [0, 1, 2, -1, 0.5, 4096, 65536, 2 ** 31, 2 ** 32, 2 ** 48, 2 ** 53, Number.NaN, 5n, null, "1", [], {}];
const FIELDS = ["memslots", "parent", "pack", "chunks", "contents", "meta"] as const;

/** Id of the snapshot that nothing was changed of. */
const SOUND = hexOf((craftFiles({}).get("snapshot") as Uint8Array).subarray(OWN_DIGEST, HEADER_BYTES));

/** Snapshots with wrong contents under right checksums, and with damage. */
export const snapshot: Door = {
  name: "snapshot",
  summary: "snapshots with wrong manifests, tables, states, chunks and working sets, or damaged, opened and read",
  check: async (seed, opened) => {
    const random = new Random(seed);
    const files = new Map(craftFiles(random.chance(20) ? {} : mistake(random)));
    if (random.chance(30)) files.set("working-set", workingSet(random));
    if (random.chance(30)) damage(random, files);
    const unpack = random.chance(50) ? portableUnpack : (nodeUnpack() ?? portableUnpack);
    opened();
    try {
      const source = sourceOf(files);
      const read = await Snapshot.read(source, { unpack });
      const set = await readWorkingSet(source);
      if (set !== null) read.readAhead(decodeWorkingSet(set, source, read));
      for (const chunk of read.chunks)
        if ((await read.readChunk(chunk)).length !== CHUNK_BYTES) throw new Violation("size", `chunk ${chunk}`);
      await read.close();
      return { kinds: { snapshot: "read" } };
    } catch (error) {
      if (error instanceof SnapshotError) return { kinds: { snapshot: error.code } };
      throw error;
    }
  },
};

function mistake(random: Random): Edit {
  const word = (): number => random.pick([0, 1, 2, 3, 65535, 65536, 2 ** 31, 2 ** 32 - 1, random.word()]);
  const noise = (most: number): Uint8Array => Uint8Array.from(random.bytes(1 + random.below(most)));
  switch (random.below(6)) {
    case 0:
      return { manifest: { [random.pick(FIELDS)]: random.pick(NUMBERS) } };
    case 1:
      return {
        manifest: {
          memslots: [{ slot: 0, gpa: 0, size: 2 ** 18, [random.pick(["slot", "gpa", "size"])]: random.pick(NUMBERS) }],
        },
      };
    case 2:
      return { entry: { [random.pick(["stored", "codec", "chunk", "content"])]: word() } };
    case 3:
      return { chunkEntries: Array.from({ length: 2 * random.below(6) }, word), contents: random.below(3) };
    case 4:
      return { state: noise(random.chance(90) ? 100 : 100_000) };
    default:
      return { packed: noise(random.chance(90) ? 300 : 60_000), entry: { codec: 1 + random.below(3) } };
  }
}

function workingSet(random: Random): Uint8Array {
  const chunks = random.pick([[1], [], [1, 1], [random.pick(NUMBERS)], random.pick(NUMBERS)]);
  const version = random.chance(80) ? 1 : random.pick(NUMBERS);
  const value = { version, snapshot: random.pick(["", SOUND]), chunks };
  return new TextEncoder().encode(JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}` : part)));
}

function damage(random: Random, files: Map<string, Uint8Array>): void {
  const name = random.pick([...files.keys()]);
  const bytes = Uint8Array.from(files.get(name) as Uint8Array);
  if (random.chance(20)) files.set(name, bytes.subarray(0, random.below(bytes.length)));
  else {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
    files.set(name, bytes);
  }
}

/** A folder in memory, with nothing beside it. */
const sourceOf = (files: ReadonlyMap<string, Uint8Array>): SnapshotSource => ({
  name: "fuzz",
  open: async (file) => {
    const bytes = files.get(file);
    if (bytes === undefined) throw new SnapshotError("absent", `${file} is not there`);
    return {
      size: bytes.length,
      read: async (offset, dst) => {
        const part = bytes.subarray(offset, offset + dst.length);
        dst.set(part);
        return part.length;
      },
      close: async () => undefined,
    };
  },
  beside: async (name) => {
    throw new SnapshotError("absent", `${name} is not there`);
  },
});
