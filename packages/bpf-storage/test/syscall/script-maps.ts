import { Command, MapFlag, MapType } from "../../src/index.js";
import type { Buffer, Patch } from "./script.js";
import { type MadeMap, ScriptWriter } from "./script-writer.js";
import { storageTypes } from "./storage-types.js";

export const TYPES = storageTypes([100]);

const PER_CPU: readonly number[] = [MapType.PercpuArray, MapType.PercpuHash, MapType.LruPercpuHash];
const OUTER: readonly number[] = [MapType.ArrayOfMaps, MapType.HashOfMaps];
const OBJECTS: readonly number[] = [...OUTER, MapType.ProgArray, MapType.PerfEventArray, MapType.CgroupArray];
/** Kinds whose elements have an order that both sides know. */
const ORDERED: readonly number[] = [MapType.Array, MapType.PercpuArray, MapType.ArrayOfMaps, MapType.LpmTrie];
export const STORAGES: readonly number[] = [MapType.TaskStorage, MapType.SkStorage, MapType.CgrpStorage];
const KINDS: readonly number[] = [
  ...[MapType.Array, MapType.Hash, MapType.PercpuArray, MapType.PercpuHash, MapType.LruHash, MapType.LruPercpuHash],
  ...[MapType.Queue, MapType.Stack, MapType.Ringbuf, MapType.LpmTrie, MapType.BloomFilter, MapType.StackTrace],
  ...OBJECTS,
  ...STORAGES,
];

/** Maps and what is done to their elements. */
export class MapScripts extends ScriptWriter {
  protected createMap(): void {
    const type = this.one(KINDS);
    const lru = type === MapType.LruHash || type === MapType.LruPercpuHash;
    const array = [MapType.Array, MapType.PercpuArray, MapType.ArrayOfMaps, ...OBJECTS.slice(2)].includes(
      type as never,
    );
    const storage = STORAGES.includes(type);
    const keyless = type === MapType.Queue || type === MapType.Stack || type === MapType.BloomFilter;
    let keySize = array || storage || type === MapType.StackTrace || OUTER.includes(type) ? 4 : this.one([1, 4, 8, 12]);
    if (type === MapType.LpmTrie) keySize = this.one([5, 8]);
    let valueSize = this.one([1, 4, 8, 13, 24]);
    let maxEntries = lru ? 256 : this.one([1, 2, 3, 4, 5]);
    let flags = type === MapType.LpmTrie || storage ? MapFlag.NoPrealloc : 0;
    if (keyless) keySize = 0;
    if (OBJECTS.includes(type)) valueSize = 4;
    if (type === MapType.StackTrace) valueSize = 8 * this.one([1, 3, 127]);
    if (type === MapType.Ringbuf) [keySize, valueSize, maxEntries] = [0, 0, 4096 * this.one([1, 2, 3])];
    if (storage) [valueSize, maxEntries] = [4, 0];
    if (this.chance(20)) flags |= 1 << this.below(14);
    if (this.chance(4)) keySize = this.one([0, 1, 2, 4, 512, 513, 600]);
    if (this.chance(4)) valueSize = this.one([0, 1, 3, 4096, 40000]);
    if (this.chance(4)) maxEntries = lru ? 4096 : this.one([0, 1, 7, 4096]);
    const typed = storage || this.chance(15);
    const inner = OUTER.includes(type) ? [{ at: 20, kind: "F" as const, of: this.fd(this.map()?.step) }] : [];
    const btf = typed ? [{ at: 48, kind: "F" as const, of: this.fd(this.btfs[0]) }] : [];
    const value = storage && this.chance(80) ? TYPES.int : this.valueType(valueSize);
    if (value === TYPES.locked) valueSize = 8;
    const key = this.chance(90) ? TYPES.int : this.one([0, TYPES.four, TYPES.long, TYPES.shifted, TYPES.named, 99]);
    const step = this.push(
      `create ${type}`,
      Command.MapCreate,
      {
        ...{ 0: type, 4: keySize, 8: valueSize, 12: maxEntries, 16: flags },
        ...(this.chance(30)
          ? { 28: new TextEncoder().encode(this.one(["name", "a.b_1", "a-b", "0123456789abcdef"])) }
          : {}),
        ...(typed ? { 52: key, 56: value } : {}),
        ...(this.chance(3) ? { 24: this.one([0, 1, 0xffffffff]), 64: this.one([0, 1, 3, 16]) } : {}),
      },
      { patches: [...inner, ...btf] },
    );
    // As it was told in the end.
    const told = this.steps[step];
    const word = (at: number): number =>
      told?.kind === "call" ? new DataView(told.attr.buffer).getUint32(at, true) : 0;
    const size = word(8);
    const whole = PER_CPU.includes(word(0)) ? ((size + 7) & ~7) * this.cpus : size;
    const hidden = value === TYPES.listed;
    this.maps.push({ step, type: word(0), keySize: word(4), valueSize: whole, maxEntries: word(12), hidden });
  }

  protected valueType(size: number): number {
    if (size === 8 && this.chance(60)) return this.one([TYPES.locked, TYPES.long]);
    return this.one([TYPES.int, TYPES.locked, TYPES.timed, TYPES.listed, TYPES.tree, TYPES.work, TYPES.four, 0, 99]);
  }

  protected key({ keySize, type }: MadeMap): Buffer {
    const bytes = new Uint8Array(keySize);
    if (STORAGES.includes(type)) {
      const of = this.one([-1, -2, -3, -4]);
      return { bytes, shown: 0, patches: [{ at: 0, kind: "F", of }] };
    }
    if (keySize > 0) bytes[type === MapType.LpmTrie ? keySize - 1 : 0] = this.below(6);
    if (type === MapType.LpmTrie && keySize >= 4) bytes[0] = this.one([0, 1, 3, 8, 8, 32, 33]);
    return { bytes, shown: 0 };
  }

  protected value({ valueSize, type }: MadeMap): Buffer {
    if (!OBJECTS.includes(type)) return { bytes: this.bytes(Math.min(valueSize, 4096)), shown: 0 };
    const of = this.fd(type === MapType.ProgArray ? this.programs[0]?.step : this.map()?.step);
    return { bytes: new Uint8Array(4), shown: 0, patches: [{ at: 0, kind: "F", of }] };
  }

  /** The address of a buffer: now and then one where nothing is. */

  protected element(): void {
    const map = this.map();
    if (map === undefined) return;
    const flags = this.chance(60) ? 0n : this.one([0n, 1n, 2n, 3n, 4n, 5n, 8n, 1n << 32n]);
    const patches: Patch[] = [{ at: 0, kind: "F", of: this.fd(map.step) }];
    const keyed = map.keySize > 0 || this.chance(5);
    const [key, value] = [keyed ? this.slot(0) : 0n, this.slot(1)];
    const held = OUTER.includes(map.type) || map.type === MapType.ProgArray;
    const out = {
      bytes: new Uint8Array(0),
      shown: map.hidden ? 0 : Math.min(map.valueSize, 4096),
      ids: held ? [[0, map.type === MapType.ProgArray ? Command.ProgLoad : Command.MapCreate] as const] : [],
    };
    const read = map.type === MapType.BloomFilter ? this.value(map) : out;
    const about = (what: string): string => `${what} of step ${map.step}`;
    switch (this.below(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        this.push(
          about("update"),
          Command.MapUpdateElem,
          { 8: key, 16: value, 24: flags },
          { patches, buffers: [this.key(map), this.value(map)] },
        );
        break;
      case 5:
      case 6:
      case 7:
        this.push(
          about("lookup"),
          Command.MapLookupElem,
          { 8: key, 16: value, 24: this.chance(80) ? 0n : flags },
          { patches, buffers: [this.key(map), read] },
        );
        break;
      case 8:
        this.push(about("delete"), Command.MapDeleteElem, { 8: key }, { patches, buffers: [this.key(map)] });
        break;
      case 9: {
        const shown = ORDERED.includes(map.type) ? map.keySize : 0;
        // What comes behind a key of a hash table, only the table knows.
        const first = shown === 0 || this.chance(30) ? 0n : key;
        this.push(
          about("next key"),
          Command.MapGetNextKey,
          { 8: first, 16: value },
          { patches, buffers: [this.key(map), { bytes: new Uint8Array(0), shown }] },
        );
        break;
      }
      default:
        this.push(
          about("take"),
          Command.MapLookupAndDeleteElem,
          { 8: key, 16: value, 24: this.chance(80) ? 0n : flags },
          { patches, buffers: [this.key(map), read] },
        );
    }
  }

  protected batch(): void {
    const map = this.map();
    if (map === undefined || map.valueSize > 1000 || map.type === MapType.StackTrace) return;
    const command = this.one([
      Command.MapLookupBatch,
      Command.MapLookupAndDeleteBatch,
      Command.MapUpdateBatch,
      Command.MapDeleteBatch,
    ]);
    const count = this.one([0, 1, 3, 16, 16, 16]);
    const ordered = ORDERED.includes(map.type) && map.type !== MapType.LpmTrie;
    const writes = command === Command.MapUpdateBatch || command === Command.MapDeleteBatch;
    // What comes of a hash table comes in an order that only it knows: as many as there are must fit.
    if (!ordered && !writes && count !== 16 && count !== 0) return;
    const keys = new Uint8Array(map.keySize * 16);
    for (let k = 0; k < count && map.keySize > 0; k++) keys.set(this.key(map).bytes, k * map.keySize);
    const shown = (size: number): number => (ordered && !writes && !map.hidden ? size * 16 : 0);
    const values = {
      bytes: writes ? this.bytes(map.valueSize * Math.min(count, 4)) : new Uint8Array(0),
      shown: shown(map.valueSize),
      ids: OUTER.includes(map.type) ? Array.from({ length: 16 }, (_, k) => [4 * k, Command.MapCreate] as const) : [],
    };
    this.push(
      `batch ${command} of step ${map.step}`,
      command,
      {
        ...{
          0: this.chance(80) ? 0n : this.slot(3),
          8: this.slot(0),
          16: this.slot(1),
          24: this.slot(2),
          32: count,
        },
        ...{ 40: this.chance(85) ? 0n : this.one([1n, 4n, 5n]), 48: this.chance(95) ? 0n : 1n },
      },
      {
        patches: [{ at: 36, kind: "F", of: this.fd(map.step) }],
        buffers: [
          ...[
            { bytes: new Uint8Array(0), shown: ordered ? 4 : 0 },
            { bytes: writes ? keys : new Uint8Array(0), shown: shown(map.keySize) },
            values,
          ],
          { bytes: new Uint8Array(16), shown: 0 },
        ],
        outputs: [32],
      },
    );
  }

  protected freeze(): void {
    this.push("freeze", Command.MapFreeze, {}, { patches: [{ at: 0, kind: "F", of: this.fd(this.map()?.step) }] });
  }

  protected walk({ step, keySize, valueSize, type, hidden }: MadeMap): void {
    if (
      hidden ||
      keySize === 0 ||
      keySize > 16 ||
      valueSize > 1024 ||
      OBJECTS.includes(type) ||
      type === MapType.StackTrace
    )
      return;
    this.steps.push({ kind: "walk", map: step, keySize, valueSize });
  }
}
