import { readFileSync } from "node:fs";
import {
  Arena,
  BpfError,
  BpfRuntime,
  type Btf,
  coreTarget,
  KERNEL_HIGH,
  loadInto,
  loadObject,
  ObjectError,
} from "@vm/bpf-storage";
import { type Door, Violation } from "../door.js";
import { Random } from "../random.js";

/** Of the package's own tests, wherever this has been bundled to. */
const PROGRAMS = new URL("../test/runtime/programs/", import.meta.resolve("@vm/bpf-storage"));
const OBJECTS = ["enter-exit", "recursion", "task-free"].map(
  (name) => new Uint8Array(readFileSync(new URL(`${name}.bpf.o`, PROGRAMS))),
);
const [FIRST] = OBJECTS as [Uint8Array];
const TYPES = coreTarget(loadObject(FIRST).btf as Btf);
const NOBODY = { pid: 1, tid: 1, uid: 0, gid: 0, comm: new Uint8Array() };
/** Runs of each program that could be loaded. */
const RUNS = 3;

/** Changes a few bytes, words or stretches. */
function spoil(random: Random, from: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(from);
  const view = new DataView(bytes.buffer);
  for (let k = random.below(6); k >= 0; k--) {
    const at = random.below(bytes.length - 8);
    const how = random.below(4);
    if (how < 2) bytes[at] = random.below(256);
    else if (how === 2) view.setUint32(at & ~3, random.chance(50) ? random.word() : random.below(64), true);
    else bytes.copyWithin(at, random.below(bytes.length), random.below(bytes.length));
  }
  return random.chance(10) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

/** An object of clang's that someone has changed: it is loaded, fitted, and what of it can be executed is. */
export const bpfObject: Door = {
  name: "bpf-object",
  summary: "objects with eBPF programs, for @vm/bpf-storage",
  check: async (seed, opened) => {
    const random = new Random(seed);
    const bytes = spoil(random, random.pick(OBJECTS));
    const arena = new Arena({ limit: 64 << 20 });
    const task = arena.alloc(16);
    // Of watched tasks programs do what they are for, and a program may have been made to watch any.
    arena.setU32(task, random.below(3));
    arena.setU32(task + 4, 1);
    const host = {
      task: () => ({ ...NOBODY, address: { low: task, high: KERNEL_HIGH } }),
      tasks: { cell: () => task + 8, cellOffset: 8, live: () => true, fromFd: () => task + 8 },
    };
    const runtime = new BpfRuntime({ arena, host, engine: random.pick(["jit", "interpreter"] as const) });
    const before = arena.used;
    opened();
    let outcome = "loaded";
    try {
      const { programs } = loadInto(runtime, bytes, { types: TYPES, kconfig: () => 1, symbol: () => 0n });
      for (const { program } of programs) for (let k = 0; k < RUNS; k++) program.runTraced([0n, 0n]);
      if (programs.some(({ program }) => program.fault !== null)) outcome = "faulted";
    } catch (error) {
      if (!(error instanceof ObjectError || error instanceof BpfError)) throw error;
      outcome = error.code;
    }
    for (const map of runtime.maps.values()) runtime.freeMap(map);
    const kept = arena.used - before;
    // Code stays; what maps held does not.
    if (kept > 4 << 20) throw new Violation("kept", `${kept} bytes are left of an object of ${bytes.length}`);
    return { sums: {}, kinds: { outcome } };
  },
};
