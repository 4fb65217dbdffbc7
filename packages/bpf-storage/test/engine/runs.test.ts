import { describe, expect, test } from "vitest";
import { Engine, type Executable, KERNEL_HIGH, LOWEST_OBJECT } from "../../src/engine/engine.js";
import { program } from "./assemble.js";
import { type Bench, bench, ENGINES } from "./harness.js";

describe.each(ENGINES)("%s", (engine) => {
  const run = (text: string, mode: "trusted" | "checked" = "checked", budget?: number): Bench => {
    const on = bench();
    const executable = on.engine.load(program(text), { engine, mode, ...(budget === undefined ? {} : { budget }) });
    expect(executable.run(on.window, KERNEL_HIGH)).toBe(on.engine.fault === null ? on.engine.resultLow | 0 : 0);
    return on;
  };
  const memoryFault = (on: Bench): number | undefined => {
    expect(on.engine.fault?.kind).toBe("memory");
    return on.engine.fault?.pc;
  };

  describe("faults of checked programs", () => {
    test.each([
      ["a load before the window", "ldxb %r0, [%r1-1]\nexit"],
      ["a load past its end", "ldxdw %r0, [%r1+4089]\nexit"],
      ["a store past its end", "stw [%r1+4093], 1\nexit"],
      ["an atomic past its end", "lock add [%r1+4096], %r2\nexit"],
      ["a null pointer", "ldxdw %r0, [%r2+0]\nexit"],
      ["a pointer with another upper half", "add %r1, %r1\nldxdw %r0, [%r1+0]\nexit"],
      ["a store at the frame pointer", "stb [%r10+0], 1\nexit"],
      ["a store below the frame", "stb [%r10-513], 1\nexit"],
      ["an access half below the frame", "stdw [%r10-516], 1\nexit"],
      ["an address that wraps around", "mov %r2, -1\nldxdw %r0, [%r2+8]\nexit"],
    ])("%s", (_, text) => {
      expect(memoryFault(run(text))).toBe(text.split("\n").length - 2);
    });

    test("the whole window and the whole frame are allowed", () => {
      const on = run("stdw [%r1+4088], 1\nstb [%r1+0], 1\nstdw [%r10-512], 1\nstb [%r10-1], 1\nmov %r0, 4\nexit");
      expect(on.engine.fault).toBe(null);
    });

    test("the address is told", () => {
      expect(run("lddw %r2, 0x123456789\nldxb %r0, [%r2+1]\nexit").engine.fault).toEqual({
        kind: "memory",
        pc: 2,
        addressLow: 0x2345678a,
        addressHigh: 1,
      });
    });

    test("eight frames are allowed, the ninth is a fault of depth", () => {
      const recursive = (depth: number): string =>
        `mov %r1, ${depth}\ncall local f\nexit\nf:\nmov %r0, 0\nsub %r1, 1\njeq %r1, 0, +1\ncall local f\nexit`;
      expect(run(recursive(7)).engine.fault).toBe(null);
      expect(run(recursive(8)).engine.fault).toEqual({ kind: "depth", pc: 3, addressLow: 0, addressHigh: 0 });
    });
  });

  test("a trusted program's access outside of the memory is a trap", () => {
    expect(run("mov %r1, 0x7fffffff\nldxdw %r0, [%r1+0]\nexit", "trusted").engine.fault?.kind).toBe("trap");
  });

  describe("budget", () => {
    test("an endless loop ends", () => {
      const { fault } = run("mov %r0, 0\nl:\nadd %r0, 1\nja l\nexit", "checked", 1_000_000).engine;
      expect(fault).toEqual({ kind: "budget", pc: 1, addressLow: 0, addressHigh: 0 });
    });

    test("a program that needs all of it returns", () => {
      const text = "mov %r0, 0\nl:\nadd %r0, 1\njne %r0, 10, l\nexit";
      expect(run(text, "checked", 22).engine.fault).toBe(null);
      expect(run(text, "checked", 21).engine.fault?.pc).toBe(3);
      expect(run(text, "checked", 20).engine.fault?.pc).toBe(1);
    });

    test("callbacks of bpf_loop count", () => {
      const text = "mov %r1, 100\nlddw %r2, func f\nmov %r4, 0\ncall 181\nexit\nf:\nmov %r0, 0\nexit";
      expect(run(text, "trusted", 205).engine.fault).toBe(null);
      expect(run(text, "trusted", 204).engine.fault?.pc).toBe(6);
    });

    test("what is no budget is refused", () => {
      expect(() => run("exit", "trusted", 0)).toThrow("EINVAL: a budget of 0 instructions");
    });
  });

  describe("nested runs", () => {
    /** A program whose helper 1 runs `inner`, and what it returned is seen in r0. */
    const nest = (inner: string, outer: string): { on: Bench; run: () => number } => {
      let program1: Executable | null = null;
      const on: Bench = bench({
        helpers: () => ({
          kind: "host",
          call(args) {
            const result = program1?.run(args.low(0), args.high(0)) ?? 0;
            args.setResult(result + args.low(0), on.engine.fault === null ? 0 : 1);
          },
        }),
      });
      program1 = on.engine.load(program(inner), { engine, mode: "checked", budget: 1000 });
      const program2 = on.engine.load(program(outer), { engine, mode: "checked", budget: 100 });
      return { on, run: () => program2.run(0, 0) };
    };
    const outer =
      "stdw [%r10-8], 5\nstdw [%r10-512], 6\nmov %r1, 40\nmov %r6, 1000\ncall 1\nldxdw %r1, [%r10-8]\nadd %r0, %r1\nldxdw %r1, [%r10-512]\nadd %r0, %r1\nadd %r0, %r6\nexit";

    test("a helper may run another program, whose stack is another", () => {
      const { on, run } = nest("stdw [%r10-8], 9\nstdw [%r10-512], 9\nmov %r0, %r1\nadd %r0, 1\nexit", outer);
      expect(run()).toBe(41 + 40 + 5 + 6 + 1000);
      expect(on.engine.fault).toBe(null);
    });

    test("an inner run has a budget of its own, and its fault is its own", () => {
      const { on, run } = nest("l:\nja l\nexit", outer);
      expect(run()).toBe(40 + 5 + 6 + 1000);
      expect(on.engine.fault).toBe(null);
      expect(on.engine.resultHigh).toBe(1);
    });

    test("an inner run does not reach the outer one's stack", () => {
      const { run, on } = nest("ldxdw %r0, [%r10+0]\nexit", outer);
      run();
      expect(on.engine.resultHigh).toBe(1);
    });

    test("after it the outer run has its own budget again", () => {
      // The jump after the loop is its instruction 101.
      const { on, run } = nest("mov %r0, 0\nexit", "call 1\nmov %r6, 49\nl:\nsub %r6, 1\njne %r6, 0, l\nja +0\nexit");
      run();
      expect(on.engine.fault).toEqual({ kind: "budget", pc: 4, addressLow: 0, addressHigh: 0 });
    });

    test("a fault of the outer run is not taken for the inner one's", () => {
      const { on, run } = nest(
        "ldxdw %r0, [%r0+0]\nexit",
        "call 1\nmov %r1, 1\nmov %r2, 99999\nmov %r4, 0\ncall 181\nexit",
      );
      run();
      expect(on.engine.fault).toEqual({ kind: "trap", pc: -1, addressLow: 0, addressHigh: 0 });
    });

    test("after it the outer run has eight frames", () => {
      const recursive = "call 1\nmov %r1, 8\ncall local f\nexit\nf:\nsub %r1, 1\njeq %r1, 0, +1\ncall local f\nexit";
      const { on, run } = nest("mov %r0, 0\nexit", recursive);
      run();
      expect(on.engine.fault?.kind).toBe("depth");
    });

    test("after it the outer run has its stack", () => {
      const { on, run } = nest("mov %r0, 0\nexit", "mov %r6, %r10\nstdw [%r6-8], 7\ncall 1\nldxdw %r0, [%r6-8]\nexit");
      expect(run()).toBe(7);
      expect(on.engine.fault).toBe(null);
    });

    test("after it the outer run has no more than its stack", () => {
      const { on, run } = nest("mov %r0, 0\nexit", "mov %r6, %r10\ncall 1\nldxdw %r0, [%r6+0]\nexit");
      run();
      expect(memoryFault(on)).toBe(2);
    });

    test("a program that runs itself for ever ends with a fault of the stack, and everything goes on", () => {
      let self: Executable | null = null;
      const faults = new Set<string | undefined>();
      const on: Bench = bench({
        helpers: () => ({
          kind: "host",
          call(args) {
            args.setResult(1 + (self?.run(0, 0) ?? 0), 0);
            faults.add(on.engine.fault?.kind);
          },
        }),
      });
      self = on.engine.load(program("call 1\nexit"), { engine, mode: "trusted" });
      const depth = self.run(0, 0);
      expect(depth).toBeGreaterThan(100);
      expect([...faults]).toEqual(["stack", undefined]);
      expect(self.run(0, 0)).toBe(depth);
    });
  });

  test("endless recursion without frames ends with a fault of the stack", () => {
    const on = bench();
    const source = { ...program("call local f\nexit\nf:\ncall local f\nexit"), frames: [0, 0] };
    const executable = on.engine.load(source, { engine, mode: "trusted" });
    executable.run(0, 0);
    expect(on.engine.fault?.kind).toBe("stack");
  });

  test("a second argument is r2", () => {
    const on = bench();
    const executable = on.engine.load(program("mov %r0, %r2\nexit"), { engine, mode: "trusted" });
    expect(executable.run(1, 2, 3)).toBe(3);
  });

  test("a shared memory", () => {
    const memory = new WebAssembly.Memory({ initial: 8, maximum: 20, shared: true });
    let next = LOWEST_OBJECT;
    const allocate = (bytes: number): number => {
      const at = next;
      next += (bytes + 15) & ~15;
      return at;
    };
    const shared = new Engine({
      memory,
      allocate,
      free: () => undefined,
      helpers: () => ({
        kind: "host",
        call(args) {
          memory.grow(1);
          args.setResult(args.low(0) + 1, 0);
        },
      }),
    });
    const text = "mov %r6, %r1\nmov %r1, 4\ncall 1\nldxw %r1, [%r6+0]\nadd %r0, %r1\nexit";
    const executable = shared.load(program(text), { engine, mode: "trusted" });
    const at = allocate(8);
    new DataView(memory.buffer).setUint32(at, 30, true);
    expect(executable.run(at, KERNEL_HIGH)).toBe(35);
    expect(executable.run(at, KERNEL_HIGH)).toBe(35);
  });

  test("after many faults the engine's stack is where it was", () => {
    const on = bench();
    const load = (text: string): Executable => on.engine.load(program(text), { engine, mode: "checked" });
    const where = load("mov %r0, %r10\nexit");
    const before = where.run(0, 0);
    const bad = load("call local f\nexit\nf:\nldxdw %r0, [%r1+0]\nexit");
    for (let k = 0; k < 2000; k++) bad.run(0, 0);
    expect(where.run(0, 0)).toBe(before);
  });

  test("disposed functions leave the table, and their indexes are used again", () => {
    const on = bench();
    const load = (): Executable => on.engine.load(program("exit"), { engine, mode: "checked" });
    const first = load();
    first.dispose();
    // Once is enough.
    first.dispose();
    expect(load().entry).toBe(first.entry);
    expect(load().entry).not.toBe(first.entry);
  });

  test("two engines may share a memory", () => {
    const memory = new WebAssembly.Memory({ initial: 20 });
    let next = LOWEST_OBJECT;
    const make = (): Engine =>
      new Engine({
        memory,
        free: () => undefined,
        allocate: (bytes) => {
          next += (bytes + 15) & ~15;
          return next - ((bytes + 15) & ~15);
        },
      });
    const [a, b] = [make(), make()];
    const text = "stdw [%r10-8], 3\nldxdw %r0, [%r10-8]\nexit";
    expect(a.load(program(text), { engine, mode: "checked" }).run(0, 0)).toBe(3);
    expect(b.load(program(text), { engine, mode: "checked" }).run(0, 0)).toBe(3);
  });
});

test("memory below LOWEST_OBJECT is refused", () => {
  const memory = new WebAssembly.Memory({ initial: 8 });
  expect(() => new Engine({ memory, allocate: () => 64, free: () => undefined })).toThrow("EINVAL: allocate gave 64");
});

test("a window that there is not is refused", () => {
  expect(() => bench().engine.setWindow(4, 0, 0)).toThrow("EINVAL: window 4");
  expect(() => bench().engine.setWindow(0, 2, 1)).toThrow("EINVAL");
});
