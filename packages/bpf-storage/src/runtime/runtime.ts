import { Engine, type Helper, type HostArguments } from "../engine/engine.js";
import { KERNEL_HIGH, LOWEST_OBJECT } from "../engine/layout.js";
import { BpfError, ERRNO } from "../errors.js";
import type { Insn } from "../isa/insn.js";
import type { BpfMap, MapDesc, MapHost } from "../maps/map.js";
import { RingbufMap } from "../maps/ringbuf.js";
import { Arena } from "../memory/arena.js";
import { Rcu } from "../memory/rcu.js";
import type { StorageFunction } from "../storage/local-storages.js";
import type { Generation } from "../storage/storage-helpers.js";
import { StorageMap } from "../storage/storage-map.js";
import type { MapType } from "../uapi/map-types.js";
import { createMap } from "./create-map.js";
import { HELPERS } from "./helpers/index.js";
import { STORAGE_GET } from "./helpers/storage.js";
import type { HelperContext } from "./helpers/types.js";
import type { RunningTask, RuntimeHost } from "./host.js";
import { type MapFunctions, mapFunctions } from "./map-functions.js";
import { BpfProgram, type ProgramDesc } from "./program.js";
import { kindOfMap, type StorageKind, storageKinds } from "./storage-kinds.js";

/** What a {@link BpfRuntime} is made for. */
export interface RuntimeDesc {
  /** Default: a system that has nothing. */
  readonly host?: RuntimeHost;
  /** Whose behaviour storage has. Default: 6.12. */
  readonly generation?: Generation;
  /** Default: jit. */
  readonly engine?: "jit" | "interpreter";
  /** Where programs and maps live, for a host that has objects of its own there too; default one of 256 MiB. */
  readonly arena?: Arena;
}

/** A program as it is loaded. */
export interface LoadDesc extends ProgramDesc {
  /** Maps are named by their pointers. */
  readonly insns: readonly Insn[];
  /** Where functions begin; the first is the program, at 0. */
  readonly subprograms: readonly number[];
  /** Whether a verifier has shown that every access is allowed; else each is checked as it happens. */
  readonly trusted: boolean;
  /** Instructions that a run may execute; default unlimited. */
  readonly budget?: number;
}

const LOOKUP = 1;
const NOBODY: RunningTask = { address: { low: 0, high: 0 }, pid: 0, tid: 0, uid: 0, gid: 0, comm: new Uint8Array() };

/** Programs, the maps that they share, and what they ask of the host. */
export class BpfRuntime {
  readonly arena: Arena;
  readonly rcu = new Rcu();
  readonly maps = new Map<number, BpfMap>();
  readonly engine: Engine;
  readonly storages: ReadonlyMap<MapType, StorageKind>;
  /** Called as programs attached to a function of the storage's own would be. */
  entered: ((name: StorageFunction, ...args: number[]) => void) | null = null;
  readonly #desc: RuntimeDesc;
  readonly #host: RuntimeHost;
  readonly #mapHost: MapHost;
  readonly #byAddress = new Map<number, BpfMap>();
  readonly #functions: MapFunctions;
  readonly #cpuWord: number;
  readonly #context: HelperContext;
  #nextMap = 1;
  #running: ProgramDesc | null = null;
  #window = 0;

  constructor(desc: RuntimeDesc = {}) {
    const { host = {}, generation = "6.12", arena = new Arena() } = desc;
    this.#desc = desc;
    this.#host = host;
    this.arena = arena;
    this.#mapHost = { arena: this.arena, rcu: this.rcu, cpus: host.cpus ?? 1, cpu: host.cpu ?? (() => 0) };
    this.storages = storageKinds(this.#mapHost, host, generation, (...call) => this.entered?.(...call));
    this.#context = this.#contextOf(host);
    this.#cpuWord = this.arena.alloc(8);
    const slowWord = this.#cpuWord + 4;
    // A CPU that is busy gets nothing then, which generated code does not look for.
    this.arena.setU32(slowWord, generation === "6.1" ? 1 : 0);
    this.#functions = mapFunctions(
      this.arena,
      {
        lookup: (map, key) => Math.max(0, this.#mapAt(map >>> 0).lookup(key >>> 0)),
        storageGet: (...call) => this.#storageGet(...call),
      },
      this.#cpuWord,
      slowWord,
    );
    this.engine = new Engine({
      memory: this.arena.memory,
      allocate: (bytes) => this.arena.alloc(bytes),
      free: (offset) => this.arena.free(offset),
      helpers: (id) => this.#helper(id),
      probe: (low, high, size, into) => void this.#probe(into, size, low, high, false),
    });
  }

  /** Number of CPUs. */
  get cpus(): number {
    return this.#mapHost.cpus;
  }

  /** @throws {BpfError} as BPF_MAP_CREATE fails */
  createMap(desc: MapDesc): BpfMap {
    const id = this.#nextMap;
    const map = createMap(this.#mapHost, desc, id, {
      storages: (type) => this.storages.get(type)?.storages,
      program: () => -ERRNO.EBADF,
      records: (ring) => this.#host.records?.(ring),
    });
    this.#nextMap++;
    this.maps.set(id, map);
    this.#byAddress.set(map.address, map);
    return map;
  }

  /** Nobody uses the map any more. */
  freeMap(map: BpfMap): void {
    this.maps.delete(map.id);
    map.free();
    this.rcu.call(() => this.#byAddress.delete(map.address));
  }

  /** @throws {BpfError} EINVAL for a program that is malformed, or calls what there is not */
  load({ insns, subprograms, trusted, budget, ...desc }: LoadDesc): BpfProgram {
    const executable = this.engine.load(
      { insns, subprograms },
      {
        engine: this.#desc.engine ?? "jit",
        mode: trusted ? "trusted" : "checked",
        ...(budget === undefined ? {} : { budget }),
      },
    );
    const { arena, rcu, engine } = this;
    const { cpu } = this.#mapHost;
    const host = { arena, rcu, engine, cpu, as: (program: ProgramDesc, run: () => number) => this.#as(program, run) };
    return new BpfProgram(host, desc, executable);
  }

  /** The object whose cell this is, of the kind that maps of `type` are for, is freed: so is its storage. */
  release(type: MapType, cell: number): void {
    this.storages.get(type)?.storages.release(cell, (address) => this.#mapAt(address) as StorageMap);
  }

  #as(program: ProgramDesc, run: () => number): number {
    const outer = this.#running;
    this.#running = program;
    this.arena.setU32(this.#cpuWord, this.#mapHost.cpu());
    // Checked programs may access all that is in memory, which may have grown.
    const end = this.arena.memory.buffer.byteLength;
    if (end !== this.#window) this.engine.setWindow(0, LOWEST_OBJECT, end);
    this.#window = end;
    try {
      return run();
    } finally {
      this.#running = outer;
    }
  }

  #mapAt(address: number): BpfMap {
    const map = this.#byAddress.get(address);
    if (map === undefined) throw new BpfError("EINVAL", `no map at 0x${address.toString(16)}`);
    return map;
  }

  #storageMap(address: number): StorageMap {
    const map = this.#mapAt(address);
    if (map instanceof StorageMap) return map;
    throw new BpfError("EINVAL", `the map at 0x${address.toString(16)} is no storage`);
  }

  #storageGet(address: number, low: number, high: number, value: number, flags: number): number {
    const map = this.#storageMap(address >>> 0);
    const { helpers } = kindOfMap(this.storages, map);
    return helpers.get(map, low >>> 0, high >>> 0, value >>> 0, BigInt(flags >>> 0), this.#running?.recur ?? true);
  }

  #helper(id: number): Helper | undefined {
    if (id === LOOKUP) return { kind: "wasm", func: this.#functions.lookup };
    if (STORAGE_GET.has(id)) return { kind: "wasm", func: this.#functions.storageGet };
    const entry = HELPERS.get(id);
    if (entry === undefined) return undefined;
    const call = (args: HostArguments): void => {
      const result = entry.call(args, this.#context);
      // A negative number of 32 bits is an errno; random ones and lengths are not signed.
      if (result !== undefined) args.setResult(result, result < 0 ? -1 : 0);
    };
    return { kind: "host", call };
  }

  #contextOf(host: RuntimeHost): HelperContext {
    return {
      arena: this.arena,
      host,
      now: host.now ?? (() => BigInt(Math.floor(performance.now() * 1e6))),
      task: host.task ?? (() => NOBODY),
      map: (address) => this.#mapAt(address),
      rings: () => [...this.maps.values()].filter((map) => map instanceof RingbufMap),
      cpus: this.#mapHost.cpus,
      callback: (index, [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0]) =>
        this.engine.callback(index, a, b, c, d, e, f, g, h),
      cpu: () => this.#mapHost.cpu(),
      probe: (...read) => this.#probe(...read),
      storageDelete: (address, low, high) => {
        const map = this.#storageMap(address);
        return kindOfMap(this.storages, map).helpers.delete(map, low, high, this.#running?.recur ?? true);
      },
    };
  }

  /** Copies memory, wherever it is, to `to`; false, with zeros there, if it cannot be read. */
  #probe(to: number, size: number, low: number, high: number, user: boolean): boolean {
    const bytes = this.arena.u8;
    const into = bytes.subarray(to, to + size);
    if (!user && high === KERNEL_HIGH && low + size <= bytes.length) {
      bytes.copyWithin(to, low, low + size);
      return true;
    }
    const { readKernel, readUser } = this.#host;
    if ((user ? readUser : readKernel)?.(low, high, into) === true) return true;
    into.fill(0);
    return false;
  }
}
