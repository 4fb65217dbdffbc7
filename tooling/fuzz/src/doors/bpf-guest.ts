import { Arena, BpfError, Btf } from "@vm/bpf-storage";
import { GuestOsError } from "@vm/kvmi";
import { GuestHost } from "../../../../apps/machine/src/plugins/bpf/guest-host.js";
import { SystemCalls } from "../../../../apps/machine/src/plugins/bpf/system-calls.js";
import { TaskCells } from "../../../../apps/machine/src/plugins/bpf/task-cells.js";
import { findTracepoint } from "../../../../apps/machine/src/plugins/bpf/tracepoints.js";
import { BtfBuilder } from "../../../../packages/bpf-storage/test/btf/builder.js";
import type { Door } from "../door.js";
import { Random } from "../random.js";

const KERNEL = 0xffffffff_80000000n;
const [PERCPU, TASK, TABLE, CALLS] = [0x1000n, 0x2000n, 0x3000n, 0x4000n].map((at) => KERNEL + at) as [
  bigint,
  bigint,
  bigint,
  bigint,
];
const PAGE = 4096n;
const TABLE_BYTES = 512;
/** Events that a case looks into. */
const EVENTS = 8;

/** The types that a kernel tells of itself, as far as programs that look in from outside ask for them. */
const TYPES = (() => {
  const types = new BtfBuilder();
  const [int, long, byte] = [types.int("int", 4, 1), types.int("long", 8, 1), types.int("char", 1, 1)];
  const comm = types.array(byte, int, 16);
  const words = (names: readonly string[]) => names.map((name, k) => [name, long, 64 * k] as const);
  types.struct("cred", 8, [
    ["uid", int, 0],
    ["gid", int, 32],
  ]);
  types.struct("pcpu_hot", 8, [["current_task", long, 0]]);
  types.struct("task_struct", 64, [
    ["pid", int, 0],
    ["tgid", int, 32],
    ["usage", int, 64],
    ["comm", comm, 96],
    ["cred", long, 256],
  ]);
  types.struct("pt_regs", 80, words(["di", "si", "dx", "r10", "r8", "r9", "orig_ax", "ax"]));
  types.struct("tracepoint", 72, words(["name", "key", "funcs"]));
  return types.build();
})();

const spoil = (random: Random, from: Uint8Array): Uint8Array => {
  const bytes = Uint8Array.from(from);
  for (let k = random.below(4); k > 0; k--) bytes[random.below(bytes.length)] = random.below(256);
  return bytes;
};

const wide = (random: Random): bigint => (BigInt(random.word() >>> 0) << 32n) | BigInt(random.word() >>> 0);

/** A Linux that lies about its types, its symbols, its tasks, its jump labels and its system calls, to programs that look in from outside. */
export const bpfGuest: Door = {
  name: "bpf-guest",
  summary: "a guest that lies to eBPF programs that look in from outside, for @vm/machine",
  check: async (seed, opened) => {
    const random = new Random(seed);
    const lie = (truth: bigint): bigint => (random.chance(15) ? wide(random) : truth);
    const symbols = new Map<string, bigint>([
      [random.chance(90) ? "pcpu_hot" : "current_task", lie(0n)],
      ["__tracepoint_t", lie(KERNEL + 0x5000n)],
      ["__start___jump_table", lie(TABLE)],
      ["__stop___jump_table", lie(TABLE + BigInt(TABLE_BYTES))],
      ["sys_call_table", lie(CALLS)],
      ["__x64_sys_read", lie(KERNEL)],
    ]);
    const pages = new Map<bigint, Uint8Array>();
    const page = (at: bigint): Uint8Array | null => {
      const number = at / PAGE;
      let bytes = pages.get(number);
      if (bytes === undefined && (at < KERNEL || random.chance(10))) return null;
      bytes ??= Uint8Array.from({ length: Number(PAGE) }, () => (random.chance(50) ? 0 : random.below(256)));
      pages.set(number, bytes);
      return bytes;
    };
    const read = (from: bigint, length: number): Uint8Array | null => {
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const at = BigInt.asUintN(64, from + BigInt(done));
        const source = page(at);
        if (source === null) return null;
        const start = Number(at % PAGE);
        const part = source.subarray(start, start + Math.min(length - done, Number(PAGE) - start));
        bytes.set(part, done);
        done += part.length;
      }
      return bytes;
    };
    const readU64 = (at: bigint): bigint | null => {
      const bytes = read(at, 8);
      return bytes === null ? null : new DataView(bytes.buffer).getBigUint64(0, true);
    };
    const memory = { read, readU64 } as never;
    const vcpu = { id: 0, memory, registers: { gsBase: PERCPU }, cpu: { msr: () => [0, 0] } } as never;
    const current = page(PERCPU);
    if (current !== null) new DataView(current.buffer).setBigUint64(0, lie(TASK), true);
    const arena = new Arena({ limit: 16 << 20 });
    const cells = new TaskCells(arena);
    opened();
    let outcome = "seen";
    try {
      const btf = await Btf.parse(spoil(random, TYPES));
      const outlets = { now: () => 0, perfEvent: () => true, records: () => undefined, trace: () => undefined };
      const host = new GuestHost([vcpu], { symbols }, btf, cells, outlets);
      const calls = new SystemCalls(symbols, btf, memory);
      for (let k = 0; k < EVENTS; k++) {
        host.begin(vcpu);
        const { low, high } = host.task().address;
        const cell = host.tasks.cell(low, high);
        if (cell !== 0) host.tasks.live(cell);
        calls.record(lie(TASK), { enter: random.chance(50), number: null }, 1);
      }
      findTracepoint("t", symbols, { key: random.below(64), funcs: random.below(64) }, memory);
      calls.filter("syscalls/sys_enter_read");
    } catch (error) {
      if (!(error instanceof GuestOsError || error instanceof BpfError)) throw error;
      outcome = error.code;
    }
    return { sums: {}, kinds: { outcome } };
  },
};
