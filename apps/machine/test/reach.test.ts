import { CHUNK_PAGES, type ChunkSource, NotResidentError } from "@vm/mmu";
import { expect, it } from "vitest";
import { createMachine } from "../src/index.js";
import { ReachableMemory } from "../src/reach.js";
import type { VirtualMachine } from "../src/virtual-machine.js";

const CHUNK = CHUNK_PAGES * 4096;
const bytes = new Uint8Array(CHUNK).fill(5);
const [LATE, AFTER] = [16, 17];

/** What a device sees of a machine whose chunks {@link LATE} and {@link AFTER} come from `source`. */
async function device(source: ChunkSource) {
  const { memory } = (await createMachine({ memory: 16 << 20 })) as VirtualMachine;
  memory.expect(source, [LATE, AFTER]);
  const heard: unknown[] = [];
  const onLost = (error: unknown): void => void heard.push((error as Error).message);
  const reach = new ReachableMemory(memory, { begin: () => () => void heard.push("done"), onLost });
  const ready = (): boolean => reach.ready((LATE + 1) * CHUNK - 8, 16, () => void heard.push("retry"));
  return { memory, reach, ready, heard };
}

const settled = (): Promise<void> => new Promise(setImmediate);

it("a device waits for memory that has not arrived, and tries again then", async () => {
  const { reach, ready, heard } = await device({ fetch: async () => bytes });
  expect(ready()).toBe(false);
  expect(() => reach.read(LATE * CHUNK, new Uint8Array(4))).toThrow(NotResidentError);
  await settled();
  expect(heard).toEqual(["retry", "done"]);
  expect(ready()).toBe(true);
});

it("a device goes on at once with memory whose source has it", async () => {
  const fetch = (): never => expect.unreachable("nobody waits");
  const { reach, ready, heard, memory } = await device({ fetch, fetchNow: () => bytes });
  expect(ready()).toBe(true);
  const read = new Uint8Array(16);
  expect(reach.read((LATE + 1) * CHUNK - 8, read)).toBe(true);
  expect(read).toEqual(new Uint8Array(16).fill(5));
  await settled();
  expect(heard).toEqual([]);
  expect(memory.residency?.demanded).toEqual([LATE, AFTER]);
});

it("what a source fails with at once is told as what it fails with later", async () => {
  const fetchNow = (): never => {
    throw new Error("disk is gone");
  };
  const { ready, heard } = await device({ fetch: async () => bytes, fetchNow });
  expect(ready()).toBe(false);
  await settled();
  expect(heard).toEqual(["disk is gone", "done"]);
});
