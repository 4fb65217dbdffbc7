import { STORAGE } from "../maps/layout.js";
import type { BpfMap } from "../maps/map.js";
import type { BpfRuntime } from "../runtime/runtime.js";
import type { Generation } from "../storage/storage-helpers.js";
import { StorageMap } from "../storage/storage-map.js";
import { MapFlag, MapType } from "../uapi/map-types.js";
import type { MapField, VerifierMap } from "../verifier/request.js";
import type { BtfObject } from "./btf-object.js";
import { Counted, type ObjectTable } from "./objects.js";

/** `sizeof(struct bpf_local_storage_map)` and of its buckets, bytes on x86-64 with generation 6.12. */
const STORAGE_BYTES = 432;
const STORAGE_BUCKET = 16;

/** Type information of a map's keys and values. */
export interface MapTypes {
  readonly btf: BtfObject;
  readonly key: number;
  readonly value: number;
}

/** Where maps are kept. */
export interface MapKeeper {
  readonly runtime: Pick<BpfRuntime, "freeMap" | "holdMap" | "maps">;
  readonly generation: Generation;
  readonly maps: ObjectTable<MapObject>;
  /** Maps that only others hold, in which they are. */
  readonly dormant: Set<MapObject>;
}

/** A map, as bpf(2) keeps it. */
export class MapObject extends Counted {
  readonly kind = "map";
  /** Nobody can change it by bpf(2) any more (BPF_MAP_FREEZE). */
  frozen = false;
  /** Mappings that can be written to. */
  writers = 0;
  /** Descriptors and pins. */
  #users = 1;

  /**
   * @param fields what its value holds besides plain bytes, as far as this generation knows it
   * @param inner of a map of maps: what those are like
   */
  constructor(
    readonly map: BpfMap,
    readonly kept: MapKeeper,
    readonly types: MapTypes | null,
    readonly fields: readonly MapField[],
    readonly inner: VerifierMap | null,
  ) {
    super();
  }

  get id(): number {
    return this.map.id;
  }

  /** Flags of the map itself: how its first descriptor was opened is none of them. */
  get flags(): number {
    return this.map.desc.flags & ~(MapFlag.Rdonly | MapFlag.Wronly);
  }

  get hasLock(): boolean {
    return this.fields.some(({ kind }) => kind === "bpf_spin_lock");
  }

  /** Bytes of a value as callers give and get it: of per-CPU kinds those of all CPUs. */
  get valueSize(): number {
    return this.map.system?.valueSize ?? this.map.desc.valueSize;
  }

  override holdUser(): this {
    this.#users++;
    return this.hold();
  }

  override putUser(): void {
    if (--this.#users === 0 && this.#clears) this.map.system?.clear?.();
    this.put();
  }

  /** Whether the map lets go of what it holds when nobody can reach it by a descriptor any more: arrays of programs, which may hold each other, and of perf events. */
  get #clears(): boolean {
    const { type, flags } = this.map.desc;
    return type === MapType.ProgArray || (type === MapType.PerfEventArray && (flags & MapFlag.PreserveElems) === 0);
  }

  /** Lines of fdinfo. */
  describe(): string {
    const { type, keySize, valueSize, maxEntries, extra = 0n } = this.map.desc;
    const hex = (value: number | bigint): string => (value === 0 || value === 0n ? "0" : `0x${value.toString(16)}`);
    return [
      `map_type:\t${type}`,
      `key_size:\t${keySize}`,
      `value_size:\t${valueSize}`,
      `max_entries:\t${maxEntries}`,
      `map_flags:\t${hex(this.flags)}`,
      `map_extra:\t${hex(extra)}`,
      `memlock:\t${this.#memory}`,
      `map_id:\t${this.id}`,
      `frozen:\t${this.frozen ? 1 : 0}`,
      "",
    ].join("\n");
  }

  /** Bytes that the map takes by itself, without its elements where those come and go; generation 6.1 does not tell. */
  get #memory(): number {
    if (this.kept.generation === "6.1") return 0;
    const { map } = this;
    if (map instanceof StorageMap)
      return STORAGE_BYTES + STORAGE_BUCKET * (map.storages.host.arena.u32(map.address + STORAGE.mask) + 1);
    const { keySize, maxEntries } = map.desc;
    return maxEntries * (keySize + this.valueSize);
  }

  protected gone(): void {
    const { runtime, dormant } = this.kept;
    runtime.freeMap(this.map);
    if (runtime.maps.has(this.id)) dormant.add(this);
    else this.forget();
  }

  protected override revived(): void {
    this.kept.runtime.holdMap(this.map);
    this.kept.dormant.delete(this);
  }

  /** The map itself is gone. */
  forget(): void {
    this.kept.dormant.delete(this);
    this.kept.maps.remove(this);
    this.types?.btf.put();
  }
}
