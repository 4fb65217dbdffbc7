import { Task } from "@vm/lockdep";
import { describe, expect, it } from "vitest";
import {
  Access,
  CHUNK_PAGES,
  type ChunkSource,
  ExitFlag,
  Licence,
  type MemslotError,
  type Mmu,
  NotResidentError,
  Status,
} from "../src/index.js";
import { entriesOf, longMode, map4, newMmu, P, PAGE, RW, US } from "./fixture.js";

const CHUNK = CHUNK_PAGES * PAGE;
const FLAT = { cr0: 1, cr3Lo: 0, cr3Hi: 0, cr4: 0, efer: 0, pkru: 0 };

/** Chunks that come when the test says so. Every byte of one is its number plus 1. */
class Later implements ChunkSource {
  readonly asked: number[] = [];
  readonly #waiting = new Map<number, { arrive(bytes: Uint8Array): void; fail(error: Error): void }>();

  fetch(chunk: number): Promise<Uint8Array> {
    this.asked.push(chunk);
    return new Promise((arrive, fail) => this.#waiting.set(chunk, { arrive, fail }));
  }

  arrive(chunk: number, bytes = new Uint8Array(CHUNK).fill(chunk + 1)): void {
    this.#waiting.get(chunk)?.arrive(bytes);
  }

  fail(chunk: number, error: Error): void {
    this.#waiting.get(chunk)?.fail(error);
  }
}

/** 6 chunks, of which `absent` have not arrived. */
function setup(absent: readonly number[] = [1, 2, 4]) {
  const mmu = newMmu(6 * CHUNK_PAGES);
  const source = new Later();
  mmu.expect(source, absent);
  const task = new Task(mmu.vm.locks.lockdep, "vm");
  const touch = (page: number, access = 0): Status => mmu.translate(FLAT, page * PAGE, 0, access);
  return { mmu, source, task, touch };
}

/** Arrivals are told in promises. */
const settled = (): Promise<void> => new Promise(setImmediate);

describe("a guest that touches memory which is not here", () => {
  it("leaves to wait, and finds what has come", async () => {
    const { mmu, source, task, touch } = setup();
    expect(touch(CHUNK_PAGES + 3, Access.Write)).toBe(Status.Exit);
    expect(mmu.translation).toMatchObject({ gfn: CHUNK_PAGES + 3, errorCode: Licence.Write | ExitFlag.Retry });
    // Who only leaves asks for nothing.
    expect(source.asked).toEqual([]);
    const waited = mmu.faultIn(task, CHUNK_PAGES + 3, Licence.Write);
    await settled();
    expect(source.asked).toEqual([1]);
    expect(touch(CHUNK_PAGES + 3)).toBe(Status.Exit);
    source.arrive(1);
    expect(await waited).toBe(Status.Ok);
    expect(touch(CHUNK_PAGES + 3, Access.Write)).toBe(Status.Ok);
    for (const page of [CHUNK_PAGES, 2 * CHUNK_PAGES - 1]) expect(touch(page)).toBe(Status.Ok);
    expect(mmu.readU32(2 * CHUNK - 4)).toBe(0x02020202);
    expect(touch(2 * CHUNK_PAGES)).toBe(Status.Exit);
  });

  it("does not for what is here", () => {
    const { source, touch } = setup();
    for (const chunk of [0, 3, 5]) expect(touch(chunk * CHUNK_PAGES, Access.Write)).toBe(Status.Ok);
    expect(source.asked).toEqual([]);
  });

  it("waits for page tables as well, and marks nothing in those before", async () => {
    const mmu = newMmu(6 * CHUNK_PAGES);
    const linear = 5n * BigInt(PAGE);
    map4(mmu, linear, BigInt(3 * CHUNK) | P | RW | US);
    const [, , , leaf] = entriesOf(linear);
    const source = new Later();
    mmu.expect(source, [0]);
    const task = new Task(mmu.vm.locks.lockdep, "vm");
    const read = (): Status => mmu.translate(longMode(), Number(linear), 0, 0);
    expect(read()).toBe(Status.Exit);
    expect(mmu.translation).toMatchObject({ gfn: 1, errorCode: Licence.Read | ExitFlag.Retry });
    const bytes = new Uint8Array(CHUNK);
    const view = new DataView(bytes.buffer);
    for (const [k, at] of entriesOf(linear).entries())
      view.setBigUint64(at, k < 3 ? BigInt((k + 2) * PAGE) | P | RW | US : BigInt(3 * CHUNK) | P | RW | US, true);
    const waited = mmu.faultIn(task, 1, Licence.Read);
    await settled();
    source.arrive(0, bytes);
    await waited;
    expect(read()).toBe(Status.Ok);
    expect(mmu.translation.gfn).toBe(3 * CHUNK_PAGES);
    expect(mmu.readU32(leaf) & 0x20).toBe(0x20);
  });

  it("one fetch serves all who wait for a chunk", async () => {
    const { mmu, source, task } = setup();
    const all = [0, 5, 15].map((page) => mmu.faultIn(task, CHUNK_PAGES + page, Licence.Read));
    await settled();
    source.arrive(1);
    expect(await Promise.all(all)).toEqual([Status.Ok, Status.Ok, Status.Ok]);
    expect(source.asked).toEqual([1]);
  });

  it("is told what the source says when it fails, reads no zeros, and can try again", async () => {
    const { mmu, source, task, touch } = setup();
    const lost = mmu.faultIn(task, CHUNK_PAGES, Licence.Read);
    await settled();
    source.fail(1, new Error("connection lost"));
    await expect(lost).rejects.toThrow("connection lost");
    expect(touch(CHUNK_PAGES)).toBe(Status.Exit);
    expect(() => mmu.readU8(CHUNK)).toThrow(NotResidentError);
    const again = mmu.faultIn(task, CHUNK_PAGES, Licence.Read);
    await settled();
    source.arrive(1);
    expect(await again).toBe(Status.Ok);
    expect(source.asked).toEqual([1, 1]);
  });

  it("a chunk of another size is none", async () => {
    const { mmu, source } = setup();
    const lost = mmu.ensureResident(CHUNK, 1);
    source.arrive(1, new Uint8Array(CHUNK - 1));
    await expect(lost).rejects.toThrow("chunk 1 has come with 65535 bytes; it has 65536");
    expect(mmu.residency?.has(CHUNK_PAGES)).toBe(false);
  });
});

it("a large page is mapped as one only when all of it is here", async () => {
  const mmu = newMmu(0, { arenaPages: 4 * 512 });
  mmu.setMemslot({ slot: 0, gpa: 0, size: 1024 * PAGE, hugepages: true });
  const source = new Later();
  mmu.expect(source, [3]);
  const touch = (page: number): Status => mmu.translate(FLAT, page * PAGE, 0, Access.Write);
  for (const page of [0, 47, 64, 511, 512]) expect(touch(page)).toBe(Status.Ok);
  expect(touch(48)).toBe(Status.Exit);
  const waited = mmu.ensureResident(48 * PAGE, 1);
  source.arrive(3);
  await waited;
  expect(touch(48)).toBe(Status.Ok);
  expect(mmu.readU8(48 * PAGE)).toBe(4);
});

describe("the host", () => {
  const ranges: readonly [string, (mmu: Mmu) => unknown][] = [
    ["reads nothing of a range that is not all here", (mmu) => mmu.read(CHUNK - 8, new Uint8Array(16))],
    ["stores nothing in one", (mmu) => mmu.write(CHUNK - 8, new Uint8Array(16).fill(9))],
    ["gets no word of it", (mmu) => mmu.readU32(CHUNK - 2)],
    ["nor a frame", (mmu) => mmu.frameOf(CHUNK_PAGES)],
    ["and saves no memory that is not here", (mmu) => [...mmu.save().pages]],
  ];
  it.each(ranges)("%s", async (_, act) => {
    const { mmu, source } = setup();
    expect(() => act(mmu)).toThrow(NotResidentError);
    expect(mmu.readU32(CHUNK - 8)).toBe(0);
    const all = mmu.ensureResident(0, 6 * CHUNK);
    for (const chunk of [1, 2, 4]) source.arrive(chunk);
    await all;
    expect(() => act(mmu)).not.toThrow();
    expect(mmu.residency?.left).toBe(0);
  });

  it("hears of what arrives, and what was waited for in that order; a prefetch is not", async () => {
    const { mmu, source } = setup();
    const heard: number[] = [];
    mmu.residency?.onArrival((gfn, pages) => heard.push(gfn, pages));
    const all = [mmu.residency?.fetch(4), mmu.ensureResident(2 * CHUNK, 1), mmu.ensureResident(0, 6 * CHUNK)];
    for (const chunk of [4, 2, 1]) source.arrive(chunk);
    await Promise.all(all);
    expect(heard).toEqual([4, 2, 1].flatMap((chunk) => [chunk * CHUNK_PAGES, CHUNK_PAGES]));
    expect(mmu.residency?.demanded).toEqual([2, 1]);
  });
});

describe("refuses", () => {
  it.each([[[-1]], [[1.5]], [[2 ** 28]], [[1, 1]]])("chunks %j, with nothing changed", (chunks) => {
    const mmu = newMmu(CHUNK_PAGES);
    expect(() => mmu.expect(new Later(), chunks)).toThrow(RangeError);
    expect(mmu.residency).toBeNull();
  });

  it("a second source while memory is on its way", () => {
    const { mmu } = setup();
    expect(() => mmu.expect(new Later(), [0])).toThrow("memory is on its way already");
  });

  it("a memslot where another's memory has not arrived, or that is moved before its own has", () => {
    const { mmu } = setup();
    const refused = (desc: Parameters<Mmu["setMemslot"]>[0]): string => {
      try {
        mmu.setMemslot(desc);
        return "";
      } catch (error) {
        return (error as MemslotError).code;
      }
    };
    expect(refused({ slot: 0, gpa: 8 * CHUNK, size: 6 * CHUNK })).toBe("EBUSY");
    expect(refused({ slot: 0, gpa: 0, size: 0 })).toBe("");
    expect(refused({ slot: 1, gpa: 4 * CHUNK, size: CHUNK })).toBe("EBUSY");
    expect(refused({ slot: 1, gpa: 5 * CHUNK, size: CHUNK })).toBe("");
  });
});

it("what arrives where no memory is any more goes nowhere", async () => {
  const { mmu, source } = setup([1]);
  const waited = mmu.ensureResident(CHUNK, 1);
  mmu.setMemslot({ slot: 0, gpa: 0, size: 0 });
  source.arrive(1);
  await waited;
  expect(mmu.touchedFrames).toBe(0);
});
