/**
 * What bpf_task_storage_get costs against a lookup in a hash table that holds the same task, and how that grows with the number of maps: a loop of a program,
 * as the JIT makes it, without what the loop itself takes. Prints nanoseconds, best of several rounds, and ratios.
 */
import {
  Arena,
  type BpfMap,
  type BpfProgram,
  BpfRuntime,
  type Insn,
  KERNEL_HIGH,
  MapFlag,
  MapType,
  ProgramType,
} from "../src/index.js";

const ROUNDS = 9;
const CALLS = 200_000;
const TASK_CELL = 8;
const MAP_COUNTS = [1, 4, 16, 17, 24, 32, 100, 1000];
const HASH_ENTRIES = [1000, 10_000, 1_000_000];

const arena = new Arena({ limit: 512 << 20 });
const task = arena.alloc(16);
arena.setU32(task, 1);
const runtime = new BpfRuntime({
  arena,
  host: {
    now: () => 0n,
    task: () => ({
      address: { low: task, high: KERNEL_HIGH },
      pid: 77,
      tid: 77,
      uid: 0,
      gid: 0,
      comm: new Uint8Array(),
    }),
    tasks: { cell: (low) => low + TASK_CELL, cellOffset: TASK_CELL, live: () => true, fromFd: () => -9 },
  },
});

const insn = (code: number, dst: number, src: number, off: number, imm: number): Insn => ({ code, dst, src, off, imm });
const wide = (dst: number, low: number): Insn[] => [insn(0x18, dst, 0, 0, low), insn(0, 0, 0, 0, KERNEL_HIGH | 0)];
const move = (dst: number, imm: number): Insn => insn(0xb7, dst, 0, 0, imm);
const call = (id: number): Insn => insn(0x85, 0, 0, 0, id);

/** A program that does `body` as often as it takes to do `calls` of what it does `each` times. */
function loop(body: readonly Insn[], each: number): BpfProgram {
  const insns = [
    move(6, Math.ceil(CALLS / each)),
    insn(0x62, 10, 0, -4, 77),
    ...body,
    insn(0x17, 6, 0, 0, 1),
    insn(0x55, 6, 0, -(body.length + 2), 0),
    move(0, 0),
    insn(0x95, 0, 0, 0, 0),
  ];
  return runtime.load({
    ...{ name: "bench", type: ProgramType.Tracing, recur: true, insns, subprograms: [0], trusted: true },
  });
}

const get = (map: BpfMap): Insn[] => [...wide(1, map.address), ...wide(2, task), move(3, 0), move(4, 0), call(156)];
const lookup = (map: BpfMap): Insn[] => [
  ...wide(1, map.address),
  insn(0xbf, 2, 10, 0, 0),
  insn(0x07, 2, 0, 0, -4),
  call(1),
];

/** Nanoseconds of one of `each` calls in a turn of the loop. */
function measure(body: readonly Insn[], each: number): number {
  const program = loop(body, each);
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const from = performance.now();
    program.run(task);
    least = Math.min(least, ((performance.now() - from) * 1e6) / (Math.ceil(CALLS / each) * each));
  }
  return least;
}

const storage = (): BpfMap => {
  const map = runtime.createMap({
    ...{ type: MapType.TaskStorage, keySize: 4, valueSize: 8, maxEntries: 0, flags: MapFlag.NoPrealloc, name: "s" },
  });
  const kind = runtime.storages.get(MapType.TaskStorage);
  kind?.helpers.get(map as never, task, KERNEL_HIGH, 0, 1n, true);
  return map;
};

function hash(entries: number): BpfMap {
  const map = runtime.createMap({
    ...{ type: MapType.Hash, keySize: 4, valueSize: 8, maxEntries: entries, flags: MapFlag.NoPrealloc, name: "h" },
  });
  const [key, value] = [arena.alloc(4), arena.alloc(8)];
  for (let k = 0; k < entries; k++) {
    arena.setU32(key, k);
    map.update(key, value, 0n);
  }
  return map;
}

const empty = measure([], 1);
const lines: string[] = [];
const hashes = HASH_ENTRIES.map((entries) => {
  const ns = measure(lookup(hash(entries)), 1) - empty;
  lines.push(`hash table of ${entries}, one key`.padEnd(44) + ns.toFixed(1));
  return ns;
});
const maps: BpfMap[] = [];
let first = 0;
for (const count of MAP_COUNTS) {
  while (maps.length < count) maps.push(storage());
  const ns = measure(maps.flatMap(get), count) - empty / count;
  first ||= ns;
  const ratios = `${((hashes[0] as number) / ns).toFixed(1)} times as fast as the table of 1000, ${(ns / first).toFixed(2)} of one map`;
  lines.push(`storage of a task, ${count} maps in turn`.padEnd(44) + `${ns.toFixed(1).padEnd(8)}${ratios}`);
}
process.stdout.write(`ns a call, best of ${ROUNDS} rounds of ${CALLS}\n${lines.join("\n")}\n`);
