import { describe, expect, it } from "vitest";
import { type AheadRange, planReads } from "../../src/snapshot/ahead-plan.js";
import { ReadAhead } from "../../src/snapshot/read-ahead.js";
import type { SnapshotFile } from "../../src/snapshot/source.js";

const KIB = 1024;

/** Answers when the test says so. Every byte is its offset in KiB. */
class SlowFile implements SnapshotFile {
  readonly size = 2 ** 30;
  /** What was asked for and has not been answered. */
  readonly asked: { readonly at: string; answer(): void; fail(): void; cut(): void }[] = [];

  read(offset: number, dst: Uint8Array): Promise<number> {
    for (let k = 0; k < dst.length; k += KIB) dst.fill((offset + k) / KIB, k, k + KIB);
    return new Promise((resolve, reject) => {
      this.asked.push({
        at: `${offset / KIB}+${dst.length / KIB}`,
        answer: () => resolve(dst.length),
        fail: () => reject(new Error("connection lost")),
        cut: () => resolve(dst.length - 1),
      });
    });
  }

  async close(): Promise<void> {}

  get at(): readonly string[] {
    return this.asked.map(({ at }) => at);
  }

  /** Answers what was asked for so far. */
  async answer(): Promise<void> {
    for (const { answer } of this.asked.splice(0)) answer();
    await settled();
  }
}

const settled = (): Promise<void> => new Promise(setImmediate);

/** A content that begins at `offset` KiB. */
const range = (file: SnapshotFile, content: number, offset: number, length = 1): AheadRange => ({
  ...{ content, file },
  offset: offset * KIB,
  length: length * KIB,
});

/** Contents so far apart that each is a read of its own, content `k` at `k` MiB. */
const apart = (file: SnapshotFile, count: number): readonly AheadRange[] =>
  Array.from({ length: count }, (_, k) => range(file, k, k * KIB));

describe("what is to be read", () => {
  const planned = (...ranges: readonly AheadRange[]): readonly (readonly number[])[] =>
    planReads(ranges).map((read) => read.map(({ content }) => content));

  it("is one read if it is at most 64 KiB apart, in whatever order it is needed", () => {
    const file = new SlowFile();
    expect(planned(range(file, 0, 130), range(file, 1, 0), range(file, 2, 65))).toEqual([[1, 2, 0]]);
    expect(planned(range(file, 1, 0), range(file, 2, 66))).toEqual([[1], [2]]);
  });

  it("is read by the MiB at most", () => {
    const file = new SlowFile();
    const ranges = Array.from({ length: 40 }, (_, k) => range(file, k, 60 * k, 60));
    expect(planReads(ranges).map((read) => read.length)).toEqual([17, 17, 6]);
  });

  it("is read in the order in which the first of each read is needed", () => {
    const file = new SlowFile();
    const ranges = [
      range(file, 0, 5000),
      range(file, 1, 50),
      range(file, 2, 5001),
      range(file, 3, 0),
      range(file, 4, 900),
    ];
    expect(planned(...ranges)).toEqual([[0, 2], [3, 1], [4]]);
  });

  it("is never one read of two files", () => {
    const [file, other] = [new SlowFile(), new SlowFile()];
    expect(planned(range(file, 0, 0), range(other, 1, 1), range(file, 2, 2))).toEqual([[0, 2], [1]]);
  });
});

describe("reading ahead", () => {
  it("has eight reads under way at a time", async () => {
    const file = new SlowFile();
    new ReadAhead(apart(file, 20));
    expect(file.at).toEqual(Array.from({ length: 8 }, (_, k) => `${k * KIB}+1`));
    const [first] = file.asked.splice(0, 1);
    first?.answer();
    await settled();
    expect(file.at.length).toBe(8);
    await file.answer();
    expect(file.at.length).toBe(8);
    await file.answer();
    await file.answer();
    expect(file.at).toEqual([]);
  });

  it("gives each content once as it is stored, and as often as it is needed", async () => {
    const file = new SlowFile();
    const [a, b] = [range(file, 0, 3), range(file, 1, 7, 2)];
    const ahead = new ReadAhead([a, b, a]);
    expect(file.at).toEqual(["3+6"]);
    expect([ahead.take(0), ahead.take(1)]).toEqual([null, null]);
    await file.answer();
    expect(ahead.take(1)).toEqual(new Uint8Array(2 * KIB).fill(7, 0, KIB).fill(8, KIB));
    expect([ahead.take(0)?.[0], ahead.take(0)?.[0], ahead.take(0), ahead.take(1)]).toEqual([3, 3, null, null]);
    expect(ahead.taken).toBe(3);
  });

  it("is waited for by who needs what is on its way", async () => {
    const file = new SlowFile();
    const ahead = new ReadAhead(apart(file, 1));
    const got = ahead.get(0);
    await file.answer();
    expect((await got)?.length).toBe(KIB);
  });

  it("leaves to who needs it what it has not begun, and does not read it any more", async () => {
    const file = new SlowFile();
    const ahead = new ReadAhead([...apart(file, 9), range(file, 9, 8 * KIB + 1)]);
    expect(await ahead.get(8)).toBeNull();
    await file.answer();
    expect(file.at).toEqual([`${8 * KIB + 1}+1`]);
  });

  it("keeps nothing of what somebody has read himself meanwhile", async () => {
    const file = new SlowFile();
    const ahead = new ReadAhead(apart(file, 2));
    ahead.forget(0);
    await file.answer();
    expect([ahead.take(0), ahead.take(1)?.length]).toEqual([null, KIB]);
  });

  it.each(["fail", "cut"] as const)("ends when a read does (%s), and who waited reads it himself", async (how) => {
    const file = new SlowFile();
    const ahead = new ReadAhead(apart(file, 20));
    const got = ahead.get(0);
    const [first] = file.asked.splice(0, 1);
    first?.[how]();
    expect(await got).toBeNull();
    await file.answer();
    expect(file.at).toEqual([]);
    expect(ahead.take(1)?.length).toBe(KIB);
    expect(ahead.take(15)).toBeNull();
  });

  it("asks for nothing once it is closed", async () => {
    const file = new SlowFile();
    const ahead = new ReadAhead(apart(file, 20));
    ahead.close();
    await file.answer();
    expect(file.at).toEqual([]);
    expect(ahead.take(0)).toBeNull();
  });
});
