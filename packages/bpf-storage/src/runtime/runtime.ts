import { Engine, type Helper, type HostArguments } from "../engine/engine.js";
import { KERNEL_HIGH, LOWEST_OBJECT } from "../engine/layout.js";
import { BpfError } from "../errors.js";
import type { Insn } from "../isa/insn.js";
import type { Descriptors } from "../maps/descriptors.js";
import type { BpfMap, MapDesc, MapHost, Status } from "../maps/map.js";
import { MapReferences } from "../maps/references.js";
import { RingbufMap } from "../maps/ringbuf.js";
import { Arena } from "../memory/arena.js";
import { Rcu } from "../memory/rcu.js";
import type { StorageFunction } from "../storage/local-storages.js";
import type { Generation } from "../storage/storage-helpers.js";
import { StorageMap } from "../storage/storage-map.js";
import { MapType } from "../uapi/map-types.js";
import { kfuncAt, resolveCalls } from "./calls.js";
import { hasPacket } from "./context.js";
import { copyForward } from "./copy.js";
import { createMap, NO_DESCRIPTORS } from "./create-map.js";
import { asksPerCpu, probeLoads } from "./foreign.js";
import { HELPERS } from "./helpers/index.js";
import { STORAGE_GET } from "./helpers/storage.js";
import type { HelperContext, HelperEntry } from "./helpers/types.js";
import type { RunningTask, RuntimeHost } from "./host.js";
import { type MapFunctions, mapFunctions } from "./map-functions.js";
import {
  BpfProgram,
  NO_TRACE,
  type ObjectLayout,
  type ProgramDesc,
  type ProgramHost,
  type TraceInfo,
} from "./program.js";
import { releaseFields } from "./release-fields.js";
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
  /** Whether it names variables of the kernel, whose memory is the host's. Default: it does not. */
  readonly foreign?: boolean;
  /** The name of the function that calls of kfuncs name, by its number in the types of the kernel (0) or of a module. Default: there is none. */
  readonly kfunc?: (id: number, module: number) => string | undefined;
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
  /** The descriptors that maps of objects are told. Default: none. */
  descriptors: Descriptors = NO_DESCRIPTORS;
  /** Called as programs attached to a function of the storage's own would be. */
  entered: ((name: StorageFunction, ...args: number[]) => void) | null = null;
  readonly #desc: RuntimeDesc;
  readonly #host: RuntimeHost;
  readonly #mapHost: MapHost;
  readonly #byAddress = new Map<number, BpfMap>();
  readonly #references = new MapReferences((map) => this.#forget(map));
  readonly #functions: MapFunctions;
  readonly #cpuWord: number;
  readonly #context: HelperContext;
  #nextMap = 1;
  readonly #hostHelpers = new Map<HelperEntry["call"], Helper>();
  #running: ProgramDesc | null = null;
  #trace: TraceInfo = NO_TRACE;
  #unique = 0;
  #window = 0;

  constructor(desc: RuntimeDesc = {}) {
    const { host = {}, generation = "6.12", arena = new Arena() } = desc;
    this.#desc = desc;
    this.#host = host;
    this.arena = arena;
    this.#mapHost = {
      ...{ arena: this.arena, rcu: this.rcu, cpus: host.cpus ?? 1, cpu: host.cpu ?? (() => 0) },
      releaseFields: (fields, value) => releaseFields(this.#context, fields, value),
    };
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
      kfuncs: (number) => this.#hostHelper(kfuncAt(number)?.call, false),
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
      descriptors: () => this.descriptors,
      holders: this.#references,
      records: (ring) => this.#host.records?.(ring),
      random: this.#host.random ?? (() => Math.random() * 2 ** 32),
    });
    this.#references.hold(map);
    this.#nextMap++;
    this.maps.set(id, map);
    this.#byAddress.set(map.address, map);
    return map;
  }

  /** Somebody else uses the map too, and calls {@link freeMap} at the end. */
  holdMap(map: BpfMap): void {
    this.#references.hold(map);
  }

  /** Whoever made the map does not use it any more. It stays while another map holds it. */
  freeMap(map: BpfMap): void {
    this.#references.drop(map);
  }

  /** @throws {BpfError} EINVAL for a program that is malformed, or calls what there is not */
  load({ insns, subprograms, trusted, budget, kfunc, foreign = false, ...desc }: LoadDesc): BpfProgram {
    const resolved = resolveCalls(insns, { name: desc.name, kfunc }, this.#host);
    // Packets are where 32 bits say, which probes do not look at.
    const probing = (foreign || asksPerCpu(insns)) && !hasPacket(desc.type);
    const executable = this.engine.load(
      { insns: probing ? probeLoads(resolved) : resolved, subprograms },
      {
        engine: this.#desc.engine ?? "jit",
        mode: trusted ? "trusted" : "checked",
        ...(budget === undefined ? {} : { budget }),
      },
    );
    const { arena, rcu, engine } = this;
    const { cpu } = this.#mapHost;
    const host: ProgramHost = { arena, rcu, engine, cpu, as: (...call) => this.#as(...call) };
    return new BpfProgram(host, desc, executable);
  }

  /** The object whose cell this is, of the kind that maps of `type` are for, is freed: so is its storage. */
  release(type: MapType, cell: number): void {
    this.storages.get(type)?.storages.release(cell, (address) => this.#mapAt(address) as StorageMap);
  }

  /**
   * A socket that is accepted comes of one that listens, by their cells: it gets copies of what maps with BPF_F_CLONE have for that.
   * @returns 0 or -ENOMEM
   */
  cloneStorage(listening: number, accepted: number): Status {
    const mapAt = (address: number): StorageMap => this.#mapAt(address) as StorageMap;
    return this.storages.get(MapType.SkStorage)?.storages.clone(listening, accepted, mapAt) ?? 0;
  }

  #as(program: ProgramDesc, trace: TraceInfo, run: () => number): number {
    const [outer, outerTrace] = [this.#running, this.#trace];
    this.#running = program;
    this.#trace = trace;
    this.arena.setU32(this.#cpuWord, this.#mapHost.cpu());
    // Checked programs may access all that is in memory, which may have grown.
    const end = this.arena.memory.buffer.byteLength;
    if (end !== this.#window) this.engine.setWindow(0, LOWEST_OBJECT, end);
    this.#window = end;
    try {
      return run();
    } finally {
      this.#running = outer;
      this.#trace = outerTrace;
    }
  }

  #forget(map: BpfMap): void {
    this.maps.delete(map.id);
    this.rcu.call(() => this.#byAddress.delete(map.address));
    map.free();
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
    return this.#hostHelper(HELPERS.get(id)?.call);
  }

  /**
   * What executes a helper or a kfunc: the same for all that call it.
   * @param extended whether results of 32 bits are extended by their sign: helpers give 64 bits, functions of the kernel what they say they give
   */
  #hostHelper(execute: HelperEntry["call"] | undefined, extended = true): Helper | undefined {
    if (execute === undefined) return undefined;
    let helper = this.#hostHelpers.get(execute);
    if (helper === undefined) {
      const call = (args: HostArguments): void => {
        const result = execute(args, this.#context);
        // A negative number of 32 bits is an errno; random ones and lengths are not signed.
        if (result !== undefined) args.setResult(result, extended && result < 0 ? -1 : 0);
      };
      helper = { kind: "host", call };
      this.#hostHelpers.set(execute, helper);
    }
    return helper;
  }

  #contextOf(host: RuntimeHost): HelperContext {
    return {
      ...{ arena: this.arena, host, generation: this.#desc.generation ?? "6.12" },
      now: host.now ?? (() => BigInt(Math.floor(performance.now() * 1e6))),
      task: host.task ?? (() => NOBODY),
      rcu: this.rcu,
      program: () => this.#running,
      trace: () => this.#trace,
      objects: new Map<number, ObjectLayout>(),
      unique: () => ++this.#unique,
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
    // Where a packet is, contexts tell in 32 bits.
    const packet = high === 0 && low >= LOWEST_OBJECT && this.#running !== null && hasPacket(this.#running.type);
    if (!user && (high === KERNEL_HIGH || packet) && low + size <= bytes.length) {
      copyForward(bytes, to, low, size);
      return true;
    }
    const { readKernel, readUser } = this.#host;
    if ((user ? readUser : readKernel)?.(low, high, into) === true) return true;
    into.fill(0);
    return false;
  }
}
