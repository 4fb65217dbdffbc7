import type { Arena, BpfMap } from "../../src/index.js";
import { StorageMap, systemLookup, systemUpdate } from "../../src/index.js";
import { kindOfMap } from "../../src/runtime/storage-kinds.js";
import type { ReferenceKernel } from "./reference-kernel.js";

/** Bytes in the arena while something is done with them. */
export const Scratch = {
  of<T>(arena: Arena, bytes: readonly number[] | Uint8Array, act: (at: number) => T): T {
    const at = arena.alloc(Math.max(bytes.length, 8));
    arena.u8.set(bytes, at);
    try {
      return act(at);
    } finally {
      arena.free(at);
    }
  },
} as const;

/** Words of 32 bits as bytes. */
export const words = (...values: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

/** What bpf(2) does with the elements of storage maps: keys are descriptors. */
export class SystemSide {
  constructor(readonly kernel: ReferenceKernel) {}

  /** The value of what a descriptor stands for, as words of 32 bits; or a negative errno. */
  lookup(map: BpfMap, fd: number): Uint32Array | number {
    const { valueSize } = map.desc;
    return this.#call(map, fd, new Uint8Array(valueSize), (key, value) => {
      const status = systemLookup(this.kernel.arena, map, key, value);
      return status === 0 ? new Uint32Array(this.kernel.arena.read(value, valueSize).buffer) : status;
    });
  }

  update(map: BpfMap, fd: number, value: Uint8Array, flags = 0n): number {
    return this.#call(map, fd, value, (key, at) => systemUpdate(map, key, at, flags));
  }

  delete(map: BpfMap, fd: number): number {
    return this.#call(map, fd, new Uint8Array(), (key) => map.delete(key));
  }

  /** Where the value of what a descriptor stands for lies, for those who may hold it. */
  valueAt(map: BpfMap, fd: number): number {
    return this.#call(map, fd, new Uint8Array(), (key) => map.lookup(key));
  }

  #call<T>(map: BpfMap, fd: number, value: Uint8Array, act: (key: number, value: number) => T): T {
    const { runtime, arena } = this.kernel;
    if (!(map instanceof StorageMap)) throw new RangeError(`map ${map.desc.name} is no storage`);
    return Scratch.of(arena, words(fd), (key) =>
      Scratch.of(arena, value, (at) =>
        runtime.rcu.lock(() => kindOfMap(runtime.storages, map).helpers.within(() => act(key, at))),
      ),
    );
  }
}
