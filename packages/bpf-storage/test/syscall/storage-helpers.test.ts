import { describe, expect, test } from "vitest";
import {
  AttachType,
  Btf,
  Command,
  ERRNO,
  type Generation,
  KERNEL_HIGH,
  MapFlag,
  MapType,
  ProgramType,
} from "../../src/index.js";
import { Caller, mapFd } from "./caller.js";
import { kernelTypes, storageTypes } from "./storage-types.js";

const TYPES = storageTypes();
const KERNEL = kernelTypes();
const SLEEPABLE = 16;

/** A caller on a kernel with a few types, that loads programs attached to one of its functions or tracepoints. */
class Loader extends Caller {
  readonly btf: number;
  log = "";

  constructor(generation: Generation) {
    super({ generation, host: { kernelBtf: new Btf(KERNEL.bytes) } });
    this.btf = this.loadBtf(TYPES.bytes);
  }

  storage = (type: number): number =>
    this.mapCreate(type, 4, 4, 0, { 16: MapFlag.NoPrealloc, 48: this.btf, 52: TYPES.int, 56: TYPES.int });

  traced(target: string, attach: number, source: string, flags = 0): number {
    const log = this.room(32768);
    const more = { 24: 1, 28: 32768, 32: BigInt(log), 44: flags, 68: attach, 108: KERNEL.id(target) };
    const fd = this.load(ProgramType.Tracing, source, more);
    this.log = this.string(log);
    return fd;
  }
}

/** Gets the storage of what the first argument points to, and keeps a number in it. */
const getting = (map: number, helper: number): string => `
  ldxdw %r2, [%r1]
  lddw %r1, ${mapFd(map)}
  mov %r3, 0
  mov %r4, 1
  call ${helper}
  jeq %r0, 0, out
  stw [%r0], 7
  out:
  mov %r0, 0
  exit`;

describe.each(["6.1", "6.12"] as const)("helpers of storage in programs that bpf(2) loads, %s", (generation) => {
  test("H4: programs on functions of sk_storage may not use it, others may", () => {
    const loader = new Loader(generation);
    const map = loader.storage(MapType.SkStorage);
    expect(loader.traced("sk_free", AttachType.TraceFentry, getting(map, 107))).toBeGreaterThan(0);
    expect(loader.traced("bpf_sk_storage_free", AttachType.TraceFentry, getting(map, 107))).toBe(-ERRNO.EINVAL);
    expect(loader.log).toContain("bpf_sk_storage_get#107");
  });

  test("H5: a program that may sleep makes storage as well as one that may not", () => {
    const loader = new Loader(generation);
    const map = loader.storage(MapType.TaskStorage);
    const task = loader.open("tasks");
    const pointer = (BigInt(KERNEL_HIGH) << 32n) | BigInt(loader.objectOf(task));
    for (const flags of [0, SLEEPABLE]) {
      const program = loader.traced("use_task", AttachType.TraceFentry, getting(map, 156), flags);
      const loaded = loader.files.get(program)?.object;
      if (loaded?.kind !== "program") throw new RangeError(loader.log);
      expect(loaded.details.sleepable).toBe(flags === SLEEPABLE);
      loaded.program.runTraced([pointer]);
      expect(loader.remove(map, loader.words(task))).toBe(0);
    }
  });

  test("H6: helpers of tasks' storage take no other map, and others take none of tasks'", () => {
    const loader = new Loader(generation);
    const array = loader.mapCreate(MapType.Array, 4, 4, 1);
    expect(loader.traced("started", AttachType.TraceRawTp, getting(array, 156))).toBe(-ERRNO.EINVAL);
    expect(loader.log).toContain("cannot pass map_type 2 into func bpf_task_storage_get#156");
    const storage = loader.storage(MapType.TaskStorage);
    expect(loader.traced("started", AttachType.TraceRawTp, getting(storage, 156))).toBeGreaterThan(0);
    const looking = `
      stw [%r10-4], 0
      mov %r2, %r10
      add %r2, -4
      lddw %r1, ${mapFd(storage)}
      call 1
      mov %r0, 0
      exit`;
    expect(loader.traced("started", AttachType.TraceRawTp, looking)).toBe(-ERRNO.EINVAL);
    expect(loader.log).toContain("cannot pass map_type 29 into func bpf_map_lookup_elem#1");
  });

  test("what a program puts into a task's storage, its pidfd finds", () => {
    const loader = new Loader(generation);
    const map = loader.storage(MapType.TaskStorage);
    const task = loader.open("tasks");
    const program = loader.traced("started", AttachType.TraceRawTp, getting(map, 156));
    const attached = loader.files.get(program)?.object;
    if (attached?.kind !== "program") throw new RangeError("no program");
    const pointer = (BigInt(KERNEL_HIGH) << 32n) | BigInt(loader.objectOf(task));
    attached.program.runTraced([pointer]);
    const at = loader.room(4);
    expect(loader.lookup(map, loader.words(task), at)).toBe(0);
    expect(loader.u32(at)).toBe(7);
    const info = loader.room(232);
    expect(loader.call(Command.ObjGetInfoByFd, { 0: program, 4: 232, 8: BigInt(info) })).toBe(0);
    expect([loader.u32(info), loader.u32(info + 52), loader.u32(info + 224)]).toEqual([
      ...[ProgramType.Tracing, 1, KERNEL.id("started")],
    ]);
  });
});
