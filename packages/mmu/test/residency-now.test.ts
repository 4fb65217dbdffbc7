import { Task } from "@vm/lockdep";
import { describe, expect, it } from "vitest";
import {
  Access,
  CHUNK_PAGES,
  type ChunkSource,
  ExitFlag,
  Licence,
  type Mmu,
  NotResidentError,
  Status,
} from "../src/index.js";
import { entriesOf, longMode, map4, newMmu, P, PAGE, RW, US } from "./fixture.js";

const CHUNK = CHUNK_PAGES * PAGE;
const FLAT = { cr0: 1, cr3Lo: 0, cr3Hi: 0, cr4: 0, efer: 0, pkru: 0 };

const bytesOf = (chunk: number): Uint8Array => new Uint8Array(CHUNK).fill(chunk + 1);

/** Has chunks at once until the test says otherwise. Every byte of one is its number plus 1. */
class AtOnce implements ChunkSource {
  /** What was asked for at once, and what was waited for. */
  readonly now: number[] = [];
  readonly later: number[] = [];
  readonly #waiting = new Map<number, (bytes: Uint8Array) => void>();
  answer: (chunk: number) => Uint8Array | null = bytesOf;

  fetchNow(chunk: number): Uint8Array | null {
    this.now.push(chunk);
    return this.answer(chunk);
  }

  fetch(chunk: number): Promise<Uint8Array> {
    this.later.push(chunk);
    return new Promise((arrive) => this.#waiting.set(chunk, arrive));
  }

  arrive(chunk: number): void {
    this.#waiting.get(chunk)?.(bytesOf(chunk));
  }
}

function setup(absent: readonly number[] = [1, 2, 4]) {
  const mmu = newMmu(6 * CHUNK_PAGES);
  const source = new AtOnce();
  mmu.expect(source, absent);
  const task = new Task(mmu.vm.locks.lockdep, "vm");
  const touch = (page: number, access = 0): Status => mmu.translate(FLAT, page * PAGE, 0, access);
  return { mmu, source, task, touch };
}

describe("memory whose source has it at once", () => {
  it("is there for the access that touches it, which does not leave", () => {
    const { mmu, source, touch } = setup();
    const heard: number[] = [];
    mmu.residency?.onArrival((gfn, pages) => heard.push(gfn, pages));
    expect(touch(CHUNK_PAGES + 3, Access.Write)).toBe(Status.Ok);
    expect(mmu.readU32(2 * CHUNK - 4)).toBe(0x02020202);
    expect(touch(CHUNK_PAGES)).toBe(Status.Ok);
    expect(source.now).toEqual([1]);
    expect(source.later).toEqual([]);
    expect(heard).toEqual([CHUNK_PAGES, CHUNK_PAGES]);
    expect(mmu.residency).toMatchObject({ left: 2, demanded: [1], atOnce: 1 });
  });

  it("is there for a page walk", () => {
    const mmu = newMmu(6 * CHUNK_PAGES);
    const linear = 5n * BigInt(PAGE);
    map4(mmu, linear, BigInt(3 * CHUNK) | P | RW | US);
    const tables = new Uint8Array(CHUNK);
    mmu.read(0, tables);
    const source = new AtOnce();
    source.answer = () => tables;
    mmu.expect(source, [0]);
    const [, , , leaf] = entriesOf(linear);
    expect(mmu.translate(longMode(), Number(linear), 0, 0)).toBe(Status.Ok);
    expect(mmu.translation.gfn).toBe(3 * CHUNK_PAGES);
    expect(mmu.readU32(leaf) & 0x20).toBe(0x20);
    expect(source.now).toEqual([0]);
  });

  it("is there for one who looks at the guest's page tables", () => {
    const mmu = newMmu(6 * CHUNK_PAGES);
    map4(mmu, 0n, BigInt(3 * CHUNK) | P | RW | US);
    const tables = new Uint8Array(CHUNK);
    mmu.read(0, tables);
    const source = new AtOnce();
    source.answer = () => tables;
    mmu.expect(source, [0]);
    expect(mmu.locate(longMode(), 8, 0)).toBe(3 * CHUNK + 8);
  });

  const accesses: readonly [string, (mmu: Mmu) => unknown, unknown][] = [
    ["reads", (mmu) => mmu.readU32(CHUNK - 2), 0x02020000],
    ["writes", (mmu) => mmu.write(2 * CHUNK - 1, Uint8Array.of(9, 9)) && mmu.readU32(2 * CHUNK - 2), 0x03090902],
    ["asks for a frame", (mmu) => mmu.frameOf(CHUNK_PAGES) > 0, true],
    ["reads a range of several", (mmu) => mmu.read(CHUNK, new Uint8Array(2 * CHUNK)) && mmu.residency?.left, 1],
  ];
  it.each(accesses)("is there for the host, which %s", (_, act, result) => {
    const { mmu, source } = setup();
    expect(act(mmu)).toBe(result);
    expect(source.later).toEqual([]);
  });

  it("is not brought by who asks whether it is here", () => {
    const { mmu, source } = setup();
    expect(mmu.residency?.has(CHUNK_PAGES)).toBe(false);
    expect(mmu.residency?.hasAll(0, 6 * CHUNK_PAGES)).toBe(false);
    expect(() => mmu.setMemslot({ slot: 0, gpa: CHUNK, size: 6 * CHUNK })).toThrow("has not arrived yet");
    expect(source.now).toEqual([]);
  });

  it("makes a large page of small ones until all of it is here, and brings none of its neighbours", () => {
    const mmu = newMmu(0, { arenaPages: 4 * 512 });
    mmu.setMemslot({ slot: 0, gpa: 0, size: 1024 * PAGE, hugepages: true });
    const source = new AtOnce();
    mmu.expect(source, [3, 5]);
    const touch = (page: number): Status => mmu.translate(FLAT, page * PAGE, 0, Access.Write);
    for (const page of [0, 48, 511]) expect(touch(page)).toBe(Status.Ok);
    expect(source.now).toEqual([3]);
    expect(touch(80)).toBe(Status.Ok);
    expect(source.now).toEqual([3, 5]);
    expect([mmu.readU8(48 * PAGE), mmu.readU8(80 * PAGE)]).toEqual([4, 6]);
  });

  it("is asked for once, with what the guest has written since kept, if it was on its way already", async () => {
    const { mmu, source, touch } = setup();
    const fetched = mmu.residency?.fetch(1);
    expect(touch(CHUNK_PAGES, Access.Write)).toBe(Status.Ok);
    mmu.writeU32(CHUNK, 0x12345678);
    const heard: number[] = [];
    mmu.residency?.onArrival((gfn) => heard.push(gfn));
    source.arrive(1);
    await fetched;
    expect(mmu.readU32(CHUNK)).toBe(0x12345678);
    expect(mmu.residency?.left).toBe(2);
    expect(heard).toEqual([]);
  });
});

describe("a source that has not got it just now", () => {
  it("is waited for, and is asked again by each who comes before", async () => {
    const { mmu, source, task, touch } = setup();
    source.answer = () => null;
    expect(touch(CHUNK_PAGES)).toBe(Status.Exit);
    expect(mmu.translation.errorCode).toBe(Licence.Read | ExitFlag.Retry);
    expect(() => mmu.readU8(CHUNK)).toThrow(NotResidentError);
    const waited = mmu.faultIn(task, CHUNK_PAGES, Licence.Read);
    await new Promise(setImmediate);
    source.arrive(1);
    expect(await waited).toBe(Status.Ok);
    expect(mmu.residency).toMatchObject({ demanded: [1], atOnce: 0 });
    expect(source.now).toEqual([1, 1]);
  });

  it("has all of a range or the range is not there", () => {
    const { mmu, source } = setup();
    source.answer = (chunk) => (chunk === 1 ? bytesOf(chunk) : null);
    const before = new Uint8Array(8);
    expect(() => mmu.read(2 * CHUNK - 4, before)).toThrow("guest frame 0x20 has not arrived");
    expect(before).toEqual(new Uint8Array(8));
    expect(mmu.residency?.has(CHUNK_PAGES)).toBe(true);
  });
});

describe("a source that fails at once", () => {
  const lost = (): never => {
    throw new Error("disk is gone");
  };

  it("is told to the guest's machine when that waits, once, and is asked again then", async () => {
    const { mmu, source, task, touch } = setup();
    source.answer = lost;
    expect(touch(CHUNK_PAGES)).toBe(Status.Exit);
    await expect(mmu.faultIn(task, CHUNK_PAGES, Licence.Read)).rejects.toThrow("disk is gone");
    expect(source.later).toEqual([]);
    source.answer = bytesOf;
    expect(touch(CHUNK_PAGES)).toBe(Status.Ok);
    expect(mmu.readU8(CHUNK)).toBe(2);
  });

  it("is told to the host that reads, with nothing of zeros", () => {
    const { mmu, source } = setup();
    source.answer = lost;
    expect(() => mmu.readU8(CHUNK)).toThrow("disk is gone");
    expect(() => mmu.write(CHUNK - 4, new Uint8Array(8).fill(7))).toThrow("disk is gone");
    expect(mmu.readU32(CHUNK - 4)).toBe(0);
  });

  it("has given a chunk of another size", async () => {
    const { mmu, source, touch } = setup();
    source.answer = () => new Uint8Array(CHUNK + 1);
    expect(touch(CHUNK_PAGES)).toBe(Status.Exit);
    await expect(mmu.ensureResident(CHUNK, 1)).rejects.toThrow("chunk 1 has come with 65537 bytes; it has 65536");
  });
});

it("what was on its way when other memory took the place of its own goes nowhere", async () => {
  const { mmu, source } = setup();
  const fetched = mmu.residency?.fetch(1);
  mmu.restore({ memslots: [{ slot: 0, gpa: 0, size: 6 * CHUNK }], pages: [] });
  source.arrive(1);
  await fetched;
  expect(mmu.readU32(CHUNK)).toBe(0);
  expect(mmu.touchedFrames).toBe(0);
});
