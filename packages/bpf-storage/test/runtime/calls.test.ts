import { describe, expect, test } from "vitest";
import {
  AttachType,
  BpfRuntime,
  ERRNO,
  KERNEL_HIGH,
  MapType,
  makeContext,
  ProgramType,
  type RuntimeHost,
} from "../../src/index.js";
import type { LoadDesc } from "../../src/runtime/runtime.js";
import { program } from "../engine/assemble.js";

const ENGINES = ["jit", "interpreter"] as const;

interface Given extends Partial<LoadDesc> {
  readonly host?: RuntimeHost;
  readonly engine?: "jit" | "interpreter";
}

const load = (text: string, { host = {}, engine = "jit", ...desc }: Given = {}) => {
  const runtime = new BpfRuntime({ host, engine });
  const loaded = runtime.load({
    ...{ name: "test", type: ProgramType.RawTracepoint, recur: false, trusted: true },
    ...program(text),
    ...desc,
  });
  /** Where a program may write: r1 points there. */
  const at = runtime.arena.alloc(256);
  const run = (): bigint => {
    loaded.run(at);
    expect(loaded.fault).toBeNull();
    return BigInt.asIntN(64, loaded.result);
  };
  return { runtime, loaded, at, run };
};

/** Names of kfuncs by the numbers that programs here give them. */
const named =
  (...names: readonly string[]) =>
  (id: number): string | undefined =>
    names[id];

describe("what a program calls that is not here is refused when it is loaded", () => {
  test.each([
    ["call 36\nexit", "EINVAL: program test, instruction 0: helper bpf_probe_write_user#36 is not here: the memory"],
    ["mov %r0, 0\ncall 169\nexit", "instruction 1: helper bpf_timer_init#169 is not here: nothing here runs when"],
    ["call 13\nexit", "helper bpf_clone_redirect#13 is not here: there is no device"],
    ["call 9999\nexit", "helper unknown#9999 is not here"],
    [
      "call 127\nexit",
      "EOPNOTSUPP: program test, instruction 0: bpf_seq_write#127 asks the host for seqWrite, which it has not",
    ],
    [
      "call kfunc 0\nexit",
      "EINVAL: program test, instruction 0: kernel function bpf_wq_start is not here: nothing here runs",
    ],
    ["call kfunc 1\nexit", "kernel function bpf_get_kmem_cache is not here"],
    [
      "call kfunc 2\nexit",
      "EOPNOTSUPP: program test, instruction 0: bpf_task_acquire asks the host for taskReferences",
    ],
    ["call kfunc 3\nexit", "EINVAL: program test, instruction 0: the kernel has no function 3"],
  ])("%j", (text, message) => {
    const kfunc = named("bpf_wq_start", "bpf_get_kmem_cache", "bpf_task_acquire");
    expect(() => load(text, { kfunc })).toThrow(message);
  });
});

describe.each(ENGINES)("%s", (engine) => {
  test("an iterator over numbers gives each of them, and then nothing", () => {
    const text = `mov %r6, %r1\nmov %r7, 0\nmov %r2, -2\nmov %r3, 3\ncall kfunc 0
loop:\nmov %r1, %r6\ncall kfunc 1\njeq %r0, 0, done\nldxsw %r0, [%r0+0]\nlsh %r7, 4\nadd %r7, %r0\nja loop
done:\nmov %r1, %r6\ncall kfunc 2\nmov %r0, %r7\nexit`;
    const kfunc = named("bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy");
    const expected = [-2n, -1n, 0n, 1n, 2n].reduce((sum, number) => sum * 16n + number, 0n);
    expect(load(text, { engine, kfunc }).run()).toBe(expected);
  });

  test.each([
    [3, 2, -ERRNO.EINVAL],
    [0, 0x800000, 0],
    [0, 0x800001, -ERRNO.E2BIG],
    [-0x80000000, 0x7fffffff, -ERRNO.E2BIG],
    [5, 5, 0],
  ])("an iterator from %i to %i begins with %i", (from, to, result) => {
    const text = `mov %r2, ${from}\nmov %r3, ${to}\ncall kfunc 0\nexit`;
    expect(load(text, { engine, kfunc: named("bpf_iter_num_new") }).run()).toBe(BigInt(result >>> 0));
  });

  test("an iterator over bits gives those that are set", () => {
    const text = `mov %r6, %r1\nmov %r7, 0\nmov %r2, %r6\nadd %r2, 64\nmov %r3, 2\ncall kfunc 0\nmov %r9, %r0
loop:\nmov %r1, %r6\ncall kfunc 1\njeq %r0, 0, done\nldxw %r0, [%r0+0]\nlsh %r7, 8\nor %r7, %r0\nja loop
done:\nmov %r1, %r6\ncall kfunc 2\nmov %r0, %r7\nadd %r0, %r9\nexit`;
    const { at, runtime, run } = load(text, {
      engine,
      kfunc: named("bpf_iter_bits_new", "bpf_iter_bits_next", "bpf_iter_bits_destroy"),
    });
    const used = runtime.arena.used;
    runtime.arena.view.setBigUint64(at + 64, (1n << 3n) | (1n << 63n), true);
    runtime.arena.view.setBigUint64(at + 72, 1n, true);
    expect(run()).toBe(0x033f40n);
    expect(runtime.arena.used).toBe(used);
  });

  test("a dynptr is a pointer, a size with its kind, and an offset", () => {
    const text = "mov %r4, %r1\nadd %r4, 16\nmov %r2, 9\nmov %r3, 0\ncall 197\nexit";
    const { at, runtime, run } = load(text, { engine });
    expect(run()).toBe(0n);
    const words = [0, 4, 8, 12].map((k) => runtime.arena.u32(at + 16 + k));
    expect(words).toEqual([at, KERNEL_HIGH, 0x10000009, 0]);
  });

  test("strings compare as far as they are told, or end", () => {
    const bytes = (text: string): number[] => [...Buffer.from(text)];
    for (const [a, b, size, result] of [
      ["abc", "abd", 3, -1],
      ["abc", "abd", 2, 0],
      ["b", "abc", 1, 1],
      ["ab\0x", "ab\0y", 4, 0],
      ["\xff", "a", 1, 1],
    ] as const) {
      const text = `mov %r2, ${size}\nmov %r3, %r1\nadd %r3, 32\ncall 182\nexit`;
      const { at, runtime, run } = load(text, { engine });
      runtime.arena.u8.set(bytes(a), at);
      runtime.arena.u8.set(bytes(b), at + 32);
      expect(run()).toBe(BigInt(result));
    }
  });

  test("a program of tracing asks for arguments, the result, where it is and its cookie", () => {
    const text = `mov %r6, %r1\ncall 185\nmov %r7, %r0\nmov %r1, %r6\nmov %r2, 1\nmov %r3, %r10\nadd %r3, -8\ncall 183
ldxdw %r0, [%r10-8]\nlsh %r7, 8\nadd %r7, %r0\nmov %r1, %r6\nmov %r2, 2\nmov %r3, %r10\nadd %r3, -8\ncall 183\nsub %r7, %r0
lsh %r7, 8\nmov %r1, %r6\nmov %r2, %r10\nadd %r2, -8\ncall 184\nldxdw %r0, [%r10-8]\nadd %r7, %r0\nmov %r1, %r6\ncall 173
lsh %r7, 8\nadd %r7, %r0\nmov %r1, %r6\ncall 174\nlsh %r7, 8\nadd %r7, %r0\nmov %r0, %r7\nexit`;
    const { loaded } = load(text, { engine, type: ProgramType.Tracing, attach: AttachType.TraceFexit });
    loaded.runTraced([5n, 6n, 7n], { ip: { low: 8, high: 0 }, cookie: { low: 9, high: 0 } });
    // Two arguments: 6 is the second, there is no third (-EINVAL), and 7 is the result.
    expect(loaded.result).toBe((((((2n << 8n) + 6n + 22n) << 8n) + 7n) << 16n) + (8n << 8n) + 9n);
  });

  test("signals, paths, stacks and files are the host's", () => {
    const seen: unknown[] = [];
    const host: RuntimeHost = {
      sendSignal: (signal, thread) => {
        seen.push([signal, thread]);
        return -ERRNO.EAGAIN;
      },
      path: () => Uint8Array.from([0x2f, 0x61]),
      stack: (user) =>
        user
          ? [
              { low: 1, high: 2 },
              { low: 3, high: 4 },
            ]
          : null,
      seqWrite: (low, _high, bytes) => seen.push([low, [...bytes]]) > 2,
    };
    const call = (text: string) => {
      const given = load(`mov %r9, %r1\n${text}\nexit`, { engine, host, type: ProgramType.Tracing });
      return { ...given, r0: given.run() };
    };
    expect(call("mov %r1, 9\ncall 109").r0).toBe(BigInt(-ERRNO.EAGAIN));
    expect(call("mov %r1, 9\ncall 117").r0).toBe(BigInt(-ERRNO.EAGAIN));
    const path = call("mov %r2, %r9\nmov %r3, 3\ncall 147");
    expect([path.r0, [...path.runtime.arena.read(path.at, 3)]]).toEqual([3n, [0x2f, 0x61, 0]]);
    expect(call("mov %r2, %r9\nmov %r3, 2\ncall 147").r0).toBe(BigInt(-ERRNO.ENAMETOOLONG));
    const stack = call("mov %r2, %r9\nmov %r3, 32\nmov %r4, 0x101\ncall 67");
    expect([stack.r0, stack.runtime.arena.u32(stack.at), stack.runtime.arena.u32(stack.at + 4)]).toEqual([8n, 3, 4]);
    expect(call("mov %r2, %r9\nmov %r3, 32\nmov %r4, 0\ncall 67").r0).toBe(BigInt(-ERRNO.EFAULT));
    expect(call("mov %r2, %r9\nmov %r3, 31\nmov %r4, 0x100\ncall 67").r0).toBe(BigInt(-ERRNO.EINVAL));
    expect(call("stb [%r9+0], 7\nmov %r1, 5\nmov %r2, %r9\nmov %r3, 1\ncall 127").r0).toBe(0n);
    expect(seen).toEqual([
      [9, false],
      [9, true],
      [5, [7]],
    ]);
  });

  test("tasks and cgroups that programs hold are counted by the host", () => {
    const seen: unknown[] = [];
    const references = (name: string) => ({
      acquire: ({ low }: { low: number }) => seen.push([name, "acquire", low]) > 0 && low !== 3,
      release: ({ low }: { low: number }) => void seen.push([name, "release", low]),
      find: (number: number) => (number === 7 ? { low: 5, high: 6 } : null),
    });
    const host: RuntimeHost = {
      taskReferences: references("task"),
      cgroupReferences: references("cgroup"),
      cgroupAncestor: ({ low }, level) => (level === 1 ? { low: low + 1, high: 0 } : null),
      taskUnderCgroup: (task, cgroup) => task.low < cgroup.low,
    };
    const names = [
      "task_acquire",
      "task_release",
      "task_from_pid",
      "cgroup_from_id",
      "cgroup_ancestor",
      "task_under_cgroup",
    ];
    const kfunc = named(...names.map((name) => `bpf_${name}`));
    const call = (text: string): bigint => load(`${text}\nexit`, { engine, host, kfunc }).run();
    expect(call("mov %r1, 2\ncall kfunc 0")).toBe(2n);
    expect(call("mov %r1, 3\ncall kfunc 0")).toBe(0n);
    call("mov %r1, 2\ncall kfunc 1");
    expect(call("mov %r1, 7\ncall kfunc 2")).toBe(0x600000005n);
    expect(call("mov %r1, 8\ncall kfunc 3")).toBe(0n);
    expect(call("mov %r1, 8\nmov %r2, 1\ncall kfunc 4")).toBe(9n);
    expect(call("mov %r1, 8\nmov %r2, 2\ncall kfunc 4")).toBe(0n);
    expect(call("mov %r1, 8\nmov %r2, 9\ncall kfunc 5")).toBe(1n);
    expect(call("mov %r1, 9\nmov %r2, 9\ncall kfunc 5")).toBe(0n);
    expect(seen).toEqual([
      ["task", "acquire", 2],
      ["task", "acquire", 3],
      ["task", "release", 2],
    ]);
  });

  test("stacks get a number in a map of stacks", () => {
    const stack = [
      { low: 1, high: 2 },
      { low: 3, high: 4 },
    ];
    const host: RuntimeHost = { stack: (user) => (user ? stack : null) };
    const runtime = new BpfRuntime({ engine, host });
    const map = runtime.createMap({
      ...{ type: MapType.StackTrace, name: "stacks", keySize: 4, valueSize: 16, maxEntries: 8, flags: 0 },
    });
    const run = (flags: number): bigint => {
      const text = `lddw %r2, 0x${KERNEL_HIGH.toString(16)}${map.address.toString(16).padStart(8, "0")}\nmov %r3, ${flags}\ncall 27\nexit`;
      const loaded = runtime.load({
        ...{ name: "test", type: ProgramType.Kprobe, recur: false, trusted: true, ...program(text) },
      });
      loaded.run(runtime.arena.alloc(8));
      return BigInt.asIntN(64, loaded.result);
    };
    const number = run(0x100);
    expect(number).toBeGreaterThanOrEqual(0n);
    expect(run(0x100)).toBe(number);
    expect([run(0), run(0x102), run(0x1000)]).toEqual([-14n, -14n, -22n]);
  });

  test("a record for who reads events may have the beginning of the packet behind it", () => {
    const records: number[][] = [];
    const host: RuntimeHost = { perfEvent: (_map, _cpu, bytes) => records.push([...bytes]) > 0 };
    const runtime = new BpfRuntime({ engine, host });
    const map = runtime.createMap({
      ...{ type: MapType.PerfEventArray, name: "events", keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 },
    });
    const run = (type: ProgramType, bytes: number): bigint => {
      const text = `lddw %r2, 0x${KERNEL_HIGH.toString(16)}${map.address.toString(16).padStart(8, "0")}
lddw %r3, 0x${bytes.toString(16)}ffffffff\nstb [%r10-1], 99\nmov %r4, %r10\nadd %r4, -1\nmov %r5, 1\ncall 25\nexit`;
      const loaded = runtime.load({ ...{ name: "test", type, recur: false, trusted: true }, ...program(text) });
      const context = makeContext(
        runtime.arena,
        type,
        Uint8Array.from({ length: 20 }, (_, k) => k),
      );
      loaded.run(context.address);
      return BigInt.asIntN(64, loaded.result);
    };
    expect([run(ProgramType.SchedCls, 3), run(ProgramType.Xdp, 2), run(ProgramType.SocketFilter, 1)]).toEqual([
      0n,
      0n,
      0n,
    ]);
    // A socket filter does not see the header of Ethernet.
    expect(records).toEqual([
      [99, 0, 1, 2],
      [99, 0, 1],
      [99, 14],
    ]);
    expect(run(ProgramType.SchedCls, 21)).toBe(BigInt(-ERRNO.EFAULT));
    expect(run(ProgramType.RawTracepoint, 1)).toBe(BigInt(-ERRNO.EINVAL));
  });

  test("objects go with the last reference to them, and what they hold with them", () => {
    const layout = { size: 64, refcount: 0, lists: [8], trees: [], objects: [] };
    const text = `mov %r1, 1\ncall kfunc 0\nmov %r6, %r0\nmov %r1, 1\ncall kfunc 0\nmov %r7, %r0
mov %r1, %r6\ncall kfunc 1\nmov %r1, %r6\nadd %r1, 8\nmov %r2, %r7\nadd %r2, 32\ncall kfunc 2\nmov %r8, %r0
mov %r1, %r6\ncall kfunc 3\nldxw %r0, [%r6+0]\nlsh %r8, 8\nadd %r8, %r0\nmov %r1, %r6\ncall kfunc 3\nmov %r0, %r8\nexit`;
    const names = ["bpf_obj_new_impl", "bpf_refcount_acquire_impl", "bpf_list_push_back_impl", "bpf_obj_drop_impl"];
    const { runtime, run } = load(text, { engine, kfunc: named(...names), objectLayout: () => layout });
    const used = runtime.arena.used;
    expect(run()).toBe(1n);
    expect(runtime.arena.used).toBe(used);
  });

  test("a tree gives its nodes in the order of the program's function", () => {
    const text = `mov %r9, %r1\nmov %r8, 40\nmov %r7, 7
add:\nmov %r1, %r9\nmov %r2, %r9\nadd %r2, %r8\nmul %r7, 29\nand %r7, 63\nstxdw [%r2+32], %r7\nlddw %r3, func less\ncall kfunc 0
add %r8, 40\njlt %r8, 240, add\nmov %r7, 0
take:\nmov %r1, %r9\ncall kfunc 1\njeq %r0, 0, done\nldxdw %r6, [%r0+32]\nlsh %r7, 8\nadd %r7, %r6\nmov %r1, %r9\nmov %r2, %r0\ncall kfunc 2\nja take
done:\nmov %r0, %r7\nexit
less:\nldxdw %r1, [%r1+32]\nldxdw %r2, [%r2+32]\nmov %r0, 1\njlt %r1, %r2, +1\nmov %r0, 0\nexit`;
    const kfunc = named("bpf_rbtree_add_impl", "bpf_rbtree_first", "bpf_rbtree_remove");
    const numbers = [0, 0, 0, 0, 0].map((_, k) => (7 * 29 ** (k + 1)) % 64).sort((a, b) => a - b);
    const expected = numbers.reduce((sum, number) => (sum << 8n) + BigInt(number), 0n);
    expect(load(text, { engine, kfunc }).run()).toBe(expected);
  });
});
