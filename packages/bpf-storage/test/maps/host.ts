import type { Descriptors, HeldObject } from "../../src/maps/descriptors.js";
import type { BpfMap, MapDesc, MapHost } from "../../src/maps/map.js";
import { MapReferences } from "../../src/maps/references.js";
import { Arena } from "../../src/memory/arena.js";
import { Rcu } from "../../src/memory/rcu.js";
import { createMap, NO_DESCRIPTORS } from "../../src/runtime/create-map.js";
import { MapType } from "../../src/uapi/map-types.js";
import { outcomeOf } from "../outcome.js";

/** What maps need, and room for a key and a value. */
export class MapBench {
  cpu = 0;
  readonly host: MapHost;
  readonly key: number;
  readonly value: number;
  /** Maps that were made and are not freed. */
  readonly maps = new Set<BpfMap>();
  readonly references = new MapReferences((map) => {
    this.maps.delete(map);
    map.free();
  });
  descriptors: Descriptors = NO_DESCRIPTORS;
  /** Ring buffers that somebody was woken for, by their numbers. */
  readonly woken: number[] = [];

  constructor(cpus = 1) {
    const arena = new Arena({ limit: 64 << 20 });
    this.host = { arena, rcu: new Rcu(), cpus, cpu: () => this.cpu };
    this.key = arena.alloc(512);
    this.value = arena.alloc(4096);
  }

  desc(change: Partial<MapDesc>): MapDesc {
    return { type: MapType.Hash, keySize: 4, valueSize: 8, maxEntries: 8, flags: 0, name: "m", ...change };
  }

  keyOf(key: number): number {
    this.host.arena.setU32(this.key, key);
    return this.key;
  }

  valueOf(word: number): number {
    this.host.arena.setU32(this.value, word);
    return this.value;
  }

  word(at: number): number | null {
    return at <= 0 ? null : this.host.arena.u32(at);
  }

  /** Makes a map as a runtime does. @throws {BpfError} */
  create<M extends BpfMap = BpfMap>(change: Partial<MapDesc>): M {
    const map = createMap(this.host, this.desc(change), this.maps.size + 1, {
      storages: () => undefined,
      records: (id) => this.woken.push(id),
      holders: this.references,
      random: () => 1,
      descriptors: () => this.descriptors,
    });
    this.maps.add(map);
    this.references.hold(map);
    return map as M;
  }

  /** What becomes of making a map: "made", or the errno. The map is gone afterwards. */
  verdict(change: Partial<MapDesc>): string {
    return outcomeOf(() => this.references.drop(this.create(change)));
  }

  bytesOf(hex: string, at = this.key): number {
    this.host.arena.u8.set(Buffer.from(hex, "hex"), at);
    return at;
  }

  /** An object that a slot can hold. */
  object(word: number, id: number): HeldObject & { holders: number } {
    return {
      ...{ word, id, holders: 0 },
      hold() {
        this.holders++;
      },
      drop() {
        this.holders--;
      },
    };
  }
}
