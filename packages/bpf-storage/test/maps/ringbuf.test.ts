import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ERRNO } from "../../src/errors.js";
import { RingbufFlag, RingbufMap, RingbufQuery } from "../../src/maps/ringbuf.js";
import { MapType } from "../../src/uapi/map-types.js";
import { outcomeOf } from "../outcome.js";
import { MapBench } from "./host.js";

describe("a ring buffer", () => {
  const ring = (maxEntries: number, wake: () => void = () => undefined) => {
    const bench = new MapBench();
    const desc = bench.desc({ type: MapType.Ringbuf, keySize: 0, valueSize: 0, maxEntries });
    return { bench, map: new RingbufMap(bench.host, desc, 1, wake) };
  };

  test("gives records in order and whole, also those that reach over its end", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat({ max: 900 }), fc.boolean()), { maxLength: 80 }), (records) => {
        const { bench, map } = ring(4096);
        const expected: string[] = [];
        const seen: string[] = [];
        const read = () => {
          for (const bytes of map.consume()) seen.push(`${bytes.length} ${bytes[0] ?? ""} ${bytes.at(-1) ?? ""}`);
        };
        for (const [k, [size, discard]] of records.entries()) {
          let record = map.reserve(size);
          if (record === 0) {
            read();
            record = map.reserve(size);
          }
          expect(record).not.toBe(0);
          bench.host.arena.u8.fill(k + 1, record, record + size);
          map.commit(record, 0, discard);
          if (!discard) expected.push(size === 0 ? "0  " : `${size} ${k + 1} ${k + 1}`);
        }
        read();
        expect(seen).toEqual(expected);
        expect(map.query(RingbufQuery.AvailData)).toBe(0);
      }),
    );
  });

  test("does not give what comes behind a record that is being written", () => {
    const { map } = ring(4096);
    const first = map.reserve(8);
    map.commit(map.reserve(16), 0);
    expect([...map.consume()]).toEqual([]);
    map.commit(first, 0);
    expect([...map.consume()].map(({ length }) => length)).toEqual([8, 16]);
  });

  test("wakes who reads when the record is the next to be read, or if told, but not if told not to", () => {
    let wakes = 0;
    const { map } = ring(4096, () => wakes++);
    map.commit(map.reserve(8), 0);
    map.commit(map.reserve(8), 0);
    expect(wakes).toBe(1);
    map.commit(map.reserve(8), 2);
    expect(wakes).toBe(2);
    [...map.consume()];
    map.commit(map.reserve(8), 1);
    expect(wakes).toBe(2);
  });

  test("has no room for a record that would fill it, and is made of whole pages", () => {
    const { bench, map } = ring(4096);
    expect(map.reserve(4096 - 8)).toBe(0);
    expect(map.reserve(4096 - 16)).not.toBe(0);
    const made = (change: object): string =>
      outcomeOf(() => new RingbufMap(bench.host, { ...map.desc, ...change }, 1, () => undefined));
    for (const change of [
      { maxEntries: 4000 },
      { maxEntries: 3 * 4096 },
      { keySize: 4 },
      { valueSize: 8 },
      { maxEntries: 0 },
    ])
      expect(made(change)).toBe("EINVAL");
  });

  const BUSY = 0x80000000;
  const DISCARD = 0x40000000;
  /** The two words in front of a record. */
  const header = (bench: MapBench, record: number): number[] =>
    [record - 8, record - 4].map((at) => bench.host.arena.u32(at));

  test("a record begins with its length, busy until it is committed, and the pages from the ring to it", () => {
    const { bench, map } = ring(8192);
    const [first, second] = [map.reserve(5000), map.reserve(100)];
    expect(header(bench, first)).toEqual([BUSY + 5000, 3]);
    expect(header(bench, second)).toEqual([BUSY + 100, 4]);
    map.commit(first, 0);
    map.commit(second, 0, true);
    expect(header(bench, first)[0]).toBe(5000);
    expect(header(bench, second)[0]).toBe(DISCARD + 100);
  });

  test("tells how much is in it, how large it is, and where both sides are; 0 for what it does not know", () => {
    const { map } = ring(4096);
    map.output(0x8000, 20, RingbufFlag.NoWakeup);
    map.output(0x8000, 1, RingbufFlag.NoWakeup);
    map.consumerPosition = 32;
    const { AvailData, RingSize, ConsPos, ProdPos } = RingbufQuery;
    expect([AvailData, RingSize, ConsPos, ProdPos, 4].map((what) => map.query(what))).toEqual([16, 4096, 32, 48, 0]);
  });

  test("a record over the end is in one piece behind it, and at the beginning as if its pages were there twice", () => {
    const { bench, map } = ring(4096);
    map.commit(map.reserve(4096 - 8 - 32), 0);
    [...map.consume()];
    const record = map.reserve(48);
    for (let k = 0; k < 48; k++) bench.host.arena.u8[record + k] = k + 1;
    map.commit(record, 0);
    expect([...bench.host.arena.read(map.data, 24)]).toEqual(Array.from({ length: 24 }, (_, k) => k + 25));
    expect([...map.consume()].map((bytes) => [bytes[0], bytes[47]])).toEqual([[1, 48]]);
  });

  test("keeps room for records that are being written, however far who reads says to be", () => {
    const { map } = ring(4096);
    const held = map.reserve(2040);
    map.commit(map.reserve(1000), 0);
    map.consumerPosition = map.producerPosition;
    expect(map.reserve(2040)).toBe(0);
    map.commit(held, 0);
    expect(map.reserve(2040)).not.toBe(0);
  });

  test("has no room while who reads claims to be ahead", () => {
    const { map } = ring(4096);
    map.consumerPosition = 4096;
    expect(map.reserve(8)).toBe(0);
    map.consumerPosition = 0;
    expect(map.reserve(8)).not.toBe(0);
  });

  test("wakes for a discarded record too, and for any with BPF_RB_FORCE_WAKEUP, whatever else is told", () => {
    let wakes = 0;
    const { map } = ring(4096, () => wakes++);
    map.commit(map.reserve(8), 0, true);
    expect(wakes).toBe(1);
    map.commit(map.reserve(8), RingbufFlag.NoWakeup | RingbufFlag.ForceWakeup);
    expect(wakes).toBe(2);
  });

  test("puts in a copy, EAGAIN without room and EINVAL for flags that are none", () => {
    const { map } = ring(4096);
    expect([map.output(0x8000, 8, 4), map.output(0x8000, 4096, 0), map.output(0x8000, 8, 3)]).toEqual([
      ...[-ERRNO.EINVAL, -ERRNO.EAGAIN, 0],
    ]);
  });

  test("has no elements: ENOTSUPP", () => {
    const { map } = ring(4096);
    expect([map.lookup(), map.update(), map.delete(), map.nextKey()]).toEqual(
      Array.from({ length: 4 }, () => -ERRNO.ENOTSUPP),
    );
  });
});
