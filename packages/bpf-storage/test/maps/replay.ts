import { BpfError, ERRNO } from "../../src/errors.js";
import type { HeldProgram, TailCallKind } from "../../src/maps/descriptors.js";
import type { BpfMap } from "../../src/maps/map.js";
import { ProgArrayMap } from "../../src/maps/prog-array.js";
import { MapReferences } from "../../src/maps/references.js";
import { RingbufMap } from "../../src/maps/ringbuf.js";
import { StackTraceMap } from "../../src/maps/stack-trace.js";
import { systemLookup, systemTake, systemUpdate, systemValueSize } from "../../src/maps/system.js";
import { createMap, NO_DESCRIPTORS } from "../../src/runtime/create-map.js";
import { MapType, UpdateFlag } from "../../src/uapi/map-types.js";
import { MapBench } from "./host.js";

/** What one call on Linux was and what came of it: `r` is 0 or a negative errno, keys and values are hexadecimal. */
export interface Call {
  readonly op: string;
  /** The map, by the order of creation. */
  readonly m: number;
  readonly r: number;
  readonly [field: string]: unknown;
}

const XDP = 6;
const XDP_HAS_FRAGS = 1 << 5;
/** In the place of a descriptor that names nothing. */
const NOTHING = 999;

/** Does what was done on Linux with two CPUs, on the first. */
export class Replay {
  readonly bench = new MapBench(2);
  readonly references = new MapReferences((map) => {
    this.#living.delete(map);
    map.free();
  });
  readonly #maps = new Map<number, BpfMap>();
  readonly #living = new Set<BpfMap>();
  readonly #value = this.bench.host.arena.alloc(1 << 16);
  readonly #key = this.bench.host.arena.alloc(1 << 12);
  readonly #next = this.bench.host.arena.alloc(1 << 12);
  #wakes = 0;
  #program: HeldProgram | number = -ERRNO.EBADF;

  /** What comes of a call here, in the words of the record. */
  call(line: Call): Record<string, unknown> {
    const { op } = line;
    const { host } = this.bench;
    if (op === "create") return this.#create(line);
    const map = this.#maps.get(line.m) as BpfMap;
    const key = this.#put(this.#key, line["key"]);
    switch (op) {
      case "close":
        this.references.drop(map);
        return {};
      case "exists":
        return { r: this.#living.has(map) };
      case "lookup": {
        host.arena.u8.fill(0, this.#value, this.#value + systemValueSize(map));
        this.#put(this.#value, line["value"]);
        return this.#out(map, systemLookup(host.arena, map, key, this.#value));
      }
      case "take":
        return this.#out(map, systemTake(host.arena, map, key, this.#value));
      case "update":
        return { r: this.#update(map, key, line) };
      case "delete":
        return { r: map.delete(key) };
      case "next": {
        const r = map.nextKey("key" in line ? key : 0, this.#next);
        return r === 0 ? { r, out: this.#hex(this.#next, map.desc.keySize) } : { r };
      }
      case "keys":
        return this.#keys(map);
      case "inner": {
        const r = systemLookup(host.arena, map, key, this.#value);
        return r === 0 ? { r, ref: host.arena.u32(this.#value) - 1 } : { r };
      }
      case "stackid":
        if (!(map instanceof StackTraceMap)) break;
        return { r: map.insert(words(line["ips"] as string), Number(flagsOf(line))) };
      case "ring":
      case "consume":
        if (!(map instanceof RingbufMap)) break;
        if (op === "ring") return this.#ring(map, line);
        map.consumerPosition = line["upto"] as number;
        return {};
      case "setprog":
        this.#program = line["kind"] === undefined ? this.#missing(line) : heldProgram(line);
        host.arena.setU32(this.#value, NOTHING);
        return { r: map.update(key, this.#value, flagsOf(line)) };
      case "getprog": {
        const r = systemLookup(host.arena, map, key, this.#value);
        return r === 0 ? { r, x: host.arena.u32(this.#value) } : { r };
      }
      case "usesprog":
        if (!(map instanceof ProgArrayMap)) break;
        return { r: map.admits(kindOf(line)) ? 0 : -ERRNO.EINVAL };
    }
    throw new RangeError(`the record has ${op} of a map that has no such thing`);
  }

  #create(line: Call): Record<string, unknown> {
    const number = (name: string): number => (line[name] ?? 0) as number;
    const desc = {
      ...{ type: number("type") as MapType, keySize: number("key"), valueSize: number("value"), name: "m" },
      ...{ maxEntries: number("entries"), flags: number("flags"), numaNode: number("numa") },
      ...{ extra: BigInt(number("extra")), inner: this.#maps.get((line["inner"] ?? -1) as number) },
    };
    try {
      const map = createMap(this.bench.host, desc, line.m + 1, {
        storages: () => undefined,
        records: () => this.#wakes++,
        holders: this.references,
        random: () => 1,
        descriptors: () => ({
          ...NO_DESCRIPTORS,
          map: (fd) => this.#maps.get(fd) ?? -ERRNO.EBADF,
          program: () => this.#program,
        }),
      });
      this.#maps.set(line.m, map);
      this.#living.add(map);
      this.references.hold(map);
      return { r: 0, max: map.desc.maxEntries, iflags: map.desc.flags };
    } catch (error) {
      if (error instanceof BpfError) return { r: -ERRNO[error.code] };
      throw error;
    }
  }

  #update(map: BpfMap, key: number, line: Call): number {
    const flags = flagsOf(line);
    // Without a lock in the values, bpf(2) does not even ask the map.
    const ofMaps = map.desc.type === MapType.ArrayOfMaps || map.desc.type === MapType.HashOfMaps;
    if ((flags & BigInt(UpdateFlag.Lock)) !== 0n && !ofMaps) return -ERRNO.EINVAL;
    this.#put(this.#value, line["value"]);
    if ("ref" in line) this.bench.host.arena.setU32(this.#value, line["ref"] as number);
    return systemUpdate(map, key, this.#value, flags);
  }

  #keys(map: BpfMap): Record<string, unknown> {
    const out: string[] = [];
    let r = map.nextKey(0, this.#next);
    for (; r === 0; r = map.nextKey(this.#key, this.#next)) {
      out.push(this.#hex(this.#next, map.desc.keySize));
      this.#put(this.#key, out.at(-1));
    }
    return { r, out: out.sort() };
  }

  /** What a program does with a ring, and what is in the ring's memory afterwards. */
  #ring(ring: RingbufMap, { steps, cons, heads }: Call): Record<string, unknown> {
    const { arena } = this.bench.host;
    this.#wakes = 0;
    const records: number[] = [];
    let [last, result] = [0, 0];
    for (const [what, a, b] of steps as [string, number, number][]) {
      const record = records[a] ?? 0;
      if (what === "reserve") {
        const at = ring.reserve(a);
        records.push(at);
        if (at !== 0) fill(this, at, a, (0x11111111 * (records.length % 8)) & 0x7fffffff);
      } else if (what === "output") {
        fill(this, this.#value, 256, 0x22222222);
        last = ring.output(this.#value, a, b);
      } else if (what === "query") last = ring.query(a);
      else if (what === "result") result = last;
      else if (record !== 0) ring.commit(record, b, what === "discard");
    }
    const prod = ring.producerPosition;
    if (heads === undefined) return { prod };
    const told: unknown[] = [];
    for (let at = cons as number; at < prod; ) {
      const place = ring.data + (at % ring.desc.maxEntries);
      const length = arena.u32(place);
      const whole = length & 0x3fffffff;
      const bytes = (length & 0x40000000) === 0 ? this.#hex(place + 8, Math.min(whole, 64) & ~7) : "";
      told.push([at, length, arena.u32(place + 4), bytes]);
      at += (whole + 15) & ~7;
    }
    return {
      result: result >>> 0,
      cons: ring.consumerPosition,
      prod,
      woke: this.#wakes > 0 && prod > (cons as number),
      heads: told,
    };
  }

  /** Of a descriptor of something else the errno is another than of none. */
  #missing(line: Call): number {
    return line["x"] === -2 ? -ERRNO.EINVAL : -ERRNO.EBADF;
  }

  #out(map: BpfMap, r: number): Record<string, unknown> {
    const size = systemValueSize(map);
    return r === 0 ? { r, out: this.#hex(this.#value, size) } : { r };
  }

  #put(at: number, hex: unknown): number {
    this.bench.host.arena.u8.set(Buffer.from((hex ?? "") as string, "hex"), at);
    return at;
  }

  #hex(at: number, size: number): string {
    return Buffer.from(this.bench.host.arena.read(at, size)).toString("hex");
  }
}

const flagsOf = (line: Call): bigint => BigInt((line["flags"] ?? 0) as number);

const words = (hex: string): Uint32Array => new Uint32Array(Uint8Array.from(Buffer.from(hex, "hex")).buffer);

const fill = ({ bench }: Replay, at: number, size: number, word: number): void => {
  for (let k = 0; k < (Math.min(size, size === 256 ? 256 : 64) & ~7); k += 8) {
    bench.host.arena.setU32(at + k, word);
    bench.host.arena.setU32(at + k + 4, 0);
  }
};

function kindOf({ kind }: Call): TailCallKind {
  const [type = 0, expectedAttachType = 0, flags = 0] = kind as number[];
  const xdpHasFrags = type === XDP && (flags & XDP_HAS_FRAGS) !== 0;
  return { type, jited: true, xdpHasFrags, expectedAttachType, attachedTo: null };
}

function heldProgram(line: Call): HeldProgram {
  const x = line["x"] as number;
  return { kind: kindOf(line), word: 100 + x, id: x, replaces: false, hold: () => undefined, drop: () => undefined };
}
