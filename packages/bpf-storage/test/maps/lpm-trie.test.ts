import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ERRNO } from "../../src/errors.js";
import type { LpmTrie } from "../../src/maps/lpm-trie.js";
import { systemLookup } from "../../src/maps/system.js";
import { MapFlag, MapType } from "../../src/uapi/map-types.js";
import { MapBench } from "./host.js";

const [NOEXIST, EXIST] = [1n, 2n];
const BITS = 16;

/** A trie of prefixes of 16 bits, written as bits. */
class Prefixes {
  readonly bench = new MapBench();
  readonly trie: LpmTrie;
  readonly #next = this.bench.host.arena.alloc(8);

  constructor(maxEntries = 100) {
    this.trie = this.bench.create<LpmTrie>({
      ...{ type: MapType.LpmTrie, keySize: 4 + BITS / 8, valueSize: 4, maxEntries, flags: MapFlag.NoPrealloc },
    });
  }

  key(bits: string, length = bits.length): number {
    const { arena } = this.bench.host;
    arena.setU32(this.bench.key, length);
    const number = Number.parseInt(bits.padEnd(BITS, "0"), 2);
    arena.u8[this.bench.key + 4] = number >>> 8;
    arena.u8[this.bench.key + 5] = number & 0xff;
    return this.bench.key;
  }

  put(bits: string, value: number, flags = 0n): number {
    return this.trie.update(this.key(bits), this.bench.valueOf(value), flags);
  }

  find(bits: string): number | null {
    return this.bench.word(this.trie.lookup(this.key(bits)));
  }

  /** The prefix behind another in the trie's order. */
  after(bits: string | null): string | null {
    const { arena } = this.bench.host;
    if (this.trie.nextKey(bits === null ? 0 : this.key(bits), this.#next) !== 0) return null;
    const number = ((arena.u8[this.#next + 4] as number) << 8) | (arena.u8[this.#next + 5] as number);
    return number.toString(2).padStart(BITS, "0").slice(0, arena.u32(this.#next));
  }

  all(): string[] {
    const found: string[] = [];
    for (let at = this.after(null); at !== null; at = this.after(at)) found.push(at);
    return found;
  }
}

/** The order of a trie: what goes on with 0, what goes on with 1, then the prefix itself. */
const inPostorder = (a: string, b: string): number => {
  if (a.startsWith(b)) return a === b ? 0 : -1;
  return b.startsWith(a) || a > b ? 1 : -1;
};

describe("a trie", () => {
  const bits = fc
    .array(fc.constantFrom("0", "1"), { maxLength: BITS })
    .map((all) => all.join(""))
    // Few of them, so that they meet.
    .map((text) => text.replace(/^(.{0,3}).*(.{2})$/, "$1$2"));
  const step = fc.record({ what: fc.constantFrom("put", "put", "create", "replace", "delete", "find"), key: bits });

  test("has what was put in by prefix, gives the longest for a key, and leaves no memory behind", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const on = new Prefixes(12);
        const used = on.bench.host.arena.used;
        const model = new Map<string, number>();
        for (const [k, { what, key }] of steps.entries()) {
          const longest = [...model.keys()]
            .filter((each) => key.startsWith(each))
            .sort((a, b) => b.length - a.length)[0];
          if (what === "find") expect(on.find(key)).toBe(longest === undefined ? null : model.get(longest));
          else if (what === "delete") expect(on.trie.delete(on.key(key))).toBe(model.delete(key) ? 0 : -ERRNO.ENOENT);
          else {
            const status = on.put(key, k, what === "create" ? NOEXIST : what === "replace" ? EXIST : 0n);
            if (what === "create" && model.has(key)) expect(status).toBe(-ERRNO.EEXIST);
            else if (what === "replace" && !model.has(key)) expect(status).toBe(-ERRNO.ENOENT);
            else if (!model.has(key) && model.size === 12) expect(status).toBe(-ERRNO.ENOSPC);
            else {
              expect(status).toBe(0);
              model.set(key, k);
            }
          }
        }
        expect(on.all()).toEqual([...model.keys()].sort(inPostorder));
        for (const key of model.keys()) on.trie.delete(on.key(key));
        expect(on.bench.host.arena.used).toBe(used);
      }),
    );
  });

  test("is full at max_entries, but for prefixes that it has: ENOSPC", () => {
    const on = new Prefixes(2);
    expect([on.put("0", 1), on.put("1", 2), on.put("01", 3), on.put("1", 4)]).toEqual([0, 0, -ERRNO.ENOSPC, 0]);
    expect(on.put("01", 3, EXIST)).toBe(-ERRNO.ENOENT);
  });

  test("refuses prefixes longer than its keys, and finds nothing for them", () => {
    const on = new Prefixes();
    on.put("", 7);
    const long = () => on.key("0", BITS + 1);
    expect(on.trie.update(long(), on.bench.valueOf(1), 0n)).toBe(-ERRNO.EINVAL);
    expect(on.trie.delete(long())).toBe(-ERRNO.EINVAL);
    expect(on.trie.lookup(long())).toBe(0);
    expect(on.trie.nextKey(long(), on.bench.value)).toBe(0);
  });

  test("refuses flags above BPF_EXIST before it looks at the prefix", () => {
    const on = new Prefixes();
    for (const flags of [3n, 4n, 1n << 40n]) expect(on.put("0", 1, flags)).toBe(-ERRNO.EINVAL);
  });

  test("begins again behind a key that it does not have, and is at its end behind the last", () => {
    const on = new Prefixes();
    for (const bits of ["0", "00", "1"]) on.put(bits, 1);
    expect(on.all()).toEqual(["00", "0", "1"]);
    expect([on.after("111"), on.after("1")]).toEqual(["00", null]);
    expect(new Prefixes().after(null)).toBeNull();
  });

  test("keeps what is behind the prefix in a key as it was put in", () => {
    const on = new Prefixes();
    on.trie.update(on.key("0101", 2), on.bench.valueOf(1), 0n);
    const next = on.bench.host.arena.alloc(8);
    on.trie.nextKey(0, next);
    expect([...on.bench.host.arena.read(next, 6)]).toEqual([2, 0, 0, 0, 0b01010000, 0]);
  });

  test("a value that a program holds stays when it is replaced or deleted", () => {
    const on = new Prefixes();
    on.put("01", 5);
    on.bench.host.rcu.lock(() => {
      const held = on.trie.lookup(on.key("01"));
      on.put("01", 6);
      on.trie.delete(on.key("01"));
      expect(on.bench.word(held)).toBe(5);
    });
  });

  test("gives bpf(2) a copy, or ENOENT", () => {
    const on = new Prefixes();
    on.put("01", 5);
    expect(systemLookup(on.bench.host.arena, on.trie, on.key("011"), on.bench.valueOf(0))).toBe(0);
    expect(on.bench.word(on.bench.value)).toBe(5);
    expect(systemLookup(on.bench.host.arena, on.trie, on.key("1"), on.bench.value)).toBe(-ERRNO.ENOENT);
  });
});
