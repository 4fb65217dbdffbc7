import { type Expr, type Func, type FunctionBuilder, i32, i64, type Local, ModuleBuilder, select } from "@vm/wasm";
import { KERNEL_HIGH } from "../engine/layout.js";
import { HASH_MULTIPLIER, HASH_ROTATION } from "../maps/hash.js";
import { ARRAY, ELEMENT, HASH, MAP, STORAGE } from "../maps/layout.js";
import type { Arena } from "../memory/arena.js";
import { SELEM, STORE, TABLE_MULTIPLIER, TABLE_SHIFT } from "../storage/layout.js";
import { ASK } from "../storage/storage-map.js";
import { MapType } from "../uapi/map-types.js";

type I32 = Expr<"i32">;
type I64 = Expr<"i64">;

/** What generated code asks of the host when its own way does not lead to the end. Pointers are offsets, 0 if there is nothing. */
export interface MapCalls {
  readonly lookup: (map: number, key: number) => number;
  readonly storageGet: (map: number, ownerLow: number, ownerHigh: number, value: number, flags: number) => number;
}

/** Helpers that every program calls all the time, as functions of WebAssembly of type (i64, i64, i64, i64, i64) -> i64. */
export interface MapFunctions {
  /** bpf_map_lookup_elem of arrays, hash tables and maps of maps; other kinds by the host. */
  readonly lookup: CallableFunction;
  /** bpf_*_storage_get of what is there; what is to be made, by the host. */
  readonly storageGet: CallableFunction;
}

/**
 * Writes and instantiates them.
 * @param cpuWord where the number of the running CPU stands
 * @param slowWord where another number than 0 says that storage must be asked of the host
 */
export function mapFunctions(arena: Arena, calls: MapCalls, cpuWord: number, slowWord: number): MapFunctions {
  const m = new ModuleBuilder();
  const lookup = m.importFunction("host", "lookup", ["i32", "i32"], "i32");
  const storageGet = m.importFunction("host", "storageGet", ["i32", "i32", "i32", "i32", "i32"], "i32");
  m.importMemory("host", "memory", { min: 1 });
  m.exportFunction("lookup", emitLookup(m, lookup, cpuWord));
  m.exportFunction("storageGet", emitStorageGet(m, storageGet, slowWord));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.bytes()), {
    host: { ...calls, memory: arena.memory },
  });
  return exports as unknown as MapFunctions;
}

const ARGUMENTS = ["i64", "i64", "i64", "i64", "i64"] as const;

/** The pointer to an offset; 0 for 0. */
const pointer = (offset: I32): I64 => i64.or(i64.extend_i32_u(offset), i64.const2(0, KERNEL_HIGH));
const word = (at: I32, field: number): I32 => i32.load(at, field);

function lowOf(f: FunctionBuilder, k: number): Local<"i32"> {
  const low = f.local("i32");
  f.set(low, i32.wrap_i64(f.param<"i64">(k)));
  return low;
}

function emitLookup(m: ModuleBuilder, host: Func, cpuWord: number): Func {
  const f = m.function(ARGUMENTS, "i64");
  const [map, key] = [lowOf(f, 0), lowOf(f, 1)];
  const [kind, found] = [f.local("i32"), f.local("i32")];
  const is = (type: number): I32 => i32.eq(kind, i32.const(type));
  f.set(kind, word(map, MAP.kind));
  f.if(i32.or(is(MapType.Array), is(MapType.PercpuArray)), () => {
    const index = f.local("i32");
    f.set(index, word(key, 0));
    f.if(i32.ge_u(index, word(map, MAP.maxEntries)), () => f.return(i64.const(0)));
    const cpu = i32.mul(word(i32.const(cpuWord), 0), word(map, ARRAY.perCpu));
    const at = i32.add(word(map, ARRAY.elements), i32.mul(index, word(map, ARRAY.stride)));
    f.return(pointer(i32.add(at, cpu)));
  });
  f.if(i32.or(is(MapType.Hash), is(MapType.PercpuHash)), () => {
    const element = emitFind(f, map, key);
    f.if(i32.eqz(element), () => f.return(i64.const(0)));
    const cpu = i32.mul(word(i32.const(cpuWord), 0), word(map, HASH.perCpu));
    f.return(pointer(i32.add(i32.add(element, word(map, HASH.value)), cpu)));
  });
  // A map in a map is a pointer too: the next lookup finds its way in it here as well.
  f.if(is(MapType.ArrayOfMaps), () => {
    const index = f.local("i32");
    f.set(index, word(key, 0));
    f.if(i32.ge_u(index, word(map, MAP.maxEntries)), () => f.return(i64.const(0)));
    f.set(found, word(i32.add(map, i32.shl(index, i32.const(2))), MAP.own));
    f.return(select(i32.eqz(found), i64.const(0), pointer(found)));
  });
  f.if(is(MapType.HashOfMaps), () => {
    const element = emitFind(f, map, key);
    f.if(i32.eqz(element), () => f.return(i64.const(0)));
    f.return(pointer(word(i32.add(element, word(map, HASH.value)), 0)));
  });
  f.set(found, f.call<"i32">(host, map, key));
  f.value(select(i32.eqz(found), i64.const(0), pointer(found)));
  return f;
}

/** The element of a key in a hash table, or 0. */
function emitFind(f: FunctionBuilder, map: I32, key: I32): Local<"i32"> {
  const [hash, size, at, k] = [f.local("i32"), f.local("i32"), f.local("i32"), f.local("i32")];
  const mix = (word: I32): void =>
    f.set(hash, i32.rotl(i32.mul(i32.xor(hash, word), i32.const(HASH_MULTIPLIER)), i32.const(HASH_ROTATION)));
  const step = (bytes: number): void => f.set(k, i32.add(k, i32.const(bytes)));
  const left = (bytes: number): I32 => i32.ge_u(i32.sub(size, k), i32.const(bytes));
  const inKey = (): I32 => i32.add(key, k);
  f.set(hash, f.tee(size, word(map, MAP.keySize)));
  f.set(k, i32.const(0));
  f.loop((again) =>
    f.if(left(4), () => {
      mix(i32.load(inKey()));
      step(4);
      f.br(again);
    }),
  );
  f.loop((again) =>
    f.if(left(1), () => {
      mix(i32.load8_u(inKey()));
      step(1);
      f.br(again);
    }),
  );
  f.set(hash, i32.xor(hash, i32.shr_u(hash, i32.const(16))));
  const bucket = i32.and(hash, word(map, HASH.mask));
  f.set(at, word(i32.add(word(map, HASH.buckets), i32.shl(bucket, i32.const(2))), 0));
  f.block((done) =>
    f.loop((chain) => {
      f.brIf(i32.eqz(at), done);
      f.block((differs) => {
        f.brIf(i32.ne(word(at, ELEMENT.hash), hash), differs);
        f.set(k, i32.const(0));
        const inElement = (): I32 => i32.add(at, k);
        f.loop((again) =>
          f.if(left(8), () => {
            f.brIf(i64.ne(i64.load(inElement(), ELEMENT.key), i64.load(inKey())), differs);
            step(8);
            f.br(again);
          }),
        );
        f.loop((again) =>
          f.if(left(1), () => {
            f.brIf(i32.ne(i32.load8_u(inElement(), ELEMENT.key), i32.load8_u(inKey())), differs);
            step(1);
            f.br(again);
          }),
        );
        f.br(done);
      });
      f.set(at, word(at, ELEMENT.next));
      f.br(chain);
    }),
  );
  return at;
}

function emitStorageGet(m: ModuleBuilder, host: Func, slowWord: number): Func {
  const f = m.function(ARGUMENTS, "i64");
  const [map, owner, value, flags] = [lowOf(f, 0), lowOf(f, 1), lowOf(f, 2), lowOf(f, 3)];
  const [ownerHigh, store, selem, cell] = [f.local("i32"), f.local("i32"), f.local("i32"), f.local("i32")];
  const mine = (): I32 => i32.eq(word(selem, SELEM.map), map);
  const give = (): void => f.return(pointer(i32.add(selem, i32.const(SELEM.value))));
  f.if(i64.gt_u(f.param<"i64">(3), i64.const(1)), () => f.return(i64.const(0)));
  f.set(ownerHigh, i32.wrap_i64(i64.shr_u(f.param<"i64">(1), i64.const(32))));
  f.block((slow) => {
    f.brIf(i32.eq(f.tee(cell, word(map, STORAGE.cell)), i32.const(ASK)), slow);
    f.brIf(i32.ne(ownerHigh, i32.const(KERNEL_HIGH)), slow);
    f.brIf(word(i32.const(slowWord), 0), slow);
    f.brIf(i32.eqz(f.tee(store, word(i32.add(owner, cell), 0))), slow);
    const slot = i32.add(store, i32.shl(word(map, STORAGE.slot), i32.const(2)));
    f.if(f.tee(selem, word(slot, STORE.cache)), () => f.if(mine(), give));
    // Many maps share a slot: the table is as fast, and the slot stays whose it is.
    const [table, mask, k] = [f.local("i32"), f.local("i32"), f.local("i32")];
    f.brIf(i32.eqz(f.tee(table, word(store, STORE.table))), slow);
    f.set(mask, word(store, STORE.mask));
    f.set(k, i32.shr_u(i32.mul(map, i32.const(TABLE_MULTIPLIER)), i32.const(TABLE_SHIFT)));
    f.loop((again) => {
      f.set(k, i32.and(k, mask));
      f.brIf(i32.eqz(f.tee(selem, word(i32.add(table, i32.shl(k, i32.const(2))), 0))), slow);
      f.if(mine(), give);
      f.set(k, i32.add(k, i32.const(1)));
      f.br(again);
    });
  });
  f.set(selem, f.call<"i32">(host, map, owner, ownerHigh, value, flags));
  f.value(select(i32.eqz(selem), i64.const(0), pointer(selem)));
  return f;
}
