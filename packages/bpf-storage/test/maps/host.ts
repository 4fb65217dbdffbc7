import type { MapDesc, MapHost } from "../../src/maps/map.js";
import { Arena } from "../../src/memory/arena.js";
import { Rcu } from "../../src/memory/rcu.js";
import { MapType } from "../../src/uapi/map-types.js";

/** What maps need, and room for a key and a value. */
export class MapBench {
  cpu = 0;
  readonly host: MapHost;
  readonly key: number;
  readonly value: number;

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
}
