import { describe, expect, test } from "vitest";
import { type Executable, KERNEL_HIGH, ProgArray } from "../../src/engine/engine.js";
import { program } from "./assemble.js";
import { type Bench, bench, ENGINES } from "./harness.js";

const CALL = "mov %r1, %r6\nmov %r2, %r7\ncall 12\n";
/** r6 is the context, r7 the array's pointer, which the context's first word is. */
const START = "mov %r6, %r1\nldxdw %r7, [%r1+0]\n";

describe.each(ENGINES)("%s", (engine) => {
  /** An array of programs at the window's offset 64; the context is the window. */
  const setUp = (
    slots: number,
  ): {
    on: Bench;
    load: (text: string, kind?: typeof engine) => Executable;
    put: (slot: number, entry: number) => void;
  } => {
    const on = bench();
    const array = on.window + 64;
    on.view().setUint32(on.window, array, true);
    on.view().setUint32(on.window + 4, KERNEL_HIGH, true);
    on.view().setUint32(array + ProgArray.maxEntries, slots, true);
    return {
      on,
      load: (text, kind = engine) => on.engine.load(program(text), { engine: kind, mode: "trusted" }),
      put: (slot, entry) => on.view().setUint32(array + ProgArray.slots + 4 * slot, entry, true),
    };
  };
  const run = (on: Bench, executable: Executable): number => {
    const r0 = executable.run(on.window, KERNEL_HIGH);
    expect(on.engine.fault).toBe(null);
    return r0;
  };

  test("a tail call gives the context on and does not come back", () => {
    const { on, load, put } = setUp(4);
    on.view().setUint32(on.window + 8, 30, true);
    put(2, load("ldxw %r0, [%r1+8]\nadd %r0, 7\nexit").entry);
    expect(run(on, load(`${START}mov %r3, 2\n${CALL}mov %r0, 1\nexit`))).toBe(37);
  });

  test("an empty slot falls through", () => {
    const { on, load } = setUp(4);
    expect(run(on, load(`${START}mov %r3, 2\n${CALL}mov %r0, 1\nexit`))).toBe(1);
  });

  test("an index out of range falls through; only its lower half counts", () => {
    const { on, load, put } = setUp(4);
    put(1, load("mov %r0, 5\nexit").entry);
    put(4, load("mov %r0, 6\nexit").entry);
    expect(run(on, load(`${START}mov %r3, 4\n${CALL}mov %r0, 1\nexit`))).toBe(1);
    expect(run(on, load(`${START}mov %r3, -1\n${CALL}mov %r0, 1\nexit`))).toBe(1);
    expect(run(on, load(`${START}lddw %r3, 0x100000001\n${CALL}mov %r0, 1\nexit`))).toBe(5);
  });

  test("33 tail calls are made, the 34th falls through", () => {
    const { on, load, put } = setUp(1);
    // Counts its executions in the context.
    const self = load(`${START}mov %r3, 1\nlock add [%r6+8], %r3\nmov %r3, 0\n${CALL}ldxdw %r0, [%r6+8]\nexit`);
    put(0, self.entry);
    expect(run(on, self)).toBe(34);
    // The next run has as many of its own.
    expect(run(on, self)).toBe(68);
  });

  test("functions share the count, and a tail call returns to the caller of its function", () => {
    const { on, load, put } = setUp(1);
    const self = load(`${START}mov %r3, 1\nlock add [%r6+8], %r3\nmov %r1, %r6\nmov %r2, %r7\ncall local f
      call local f\nldxdw %r0, [%r6+8]\nexit
      f:\nmov %r3, 0\ncall 12\nexit`);
    put(0, self.entry);
    run(on, self);
    // Each of 34 executions makes up to two, and 33 are allowed.
    expect(on.view().getUint32(on.window + 8, true)).toBe(34);
  });

  test("the callee's frame is fresh, and its own size", () => {
    const { on, load, put } = setUp(1);
    put(0, load("mov %r0, %r10\nexit").entry);
    const top = run(on, load("mov %r0, %r10\nexit"));
    expect(run(on, load(`${START}mov %r3, 0\n${CALL}exit`))).toBe(top);
  });

  test("a program may call one of the other engine", () => {
    const { on, load, put } = setUp(2);
    const other = engine === "jit" ? "interpreter" : "jit";
    put(0, load(`${START}mov %r3, 1\n${CALL}exit`, other).entry);
    put(1, load("mov %r0, 9\nexit").entry);
    expect(run(on, load(`${START}mov %r3, 0\n${CALL}exit`))).toBe(9);
  });

  test("a nested run has a count of its own", () => {
    const nested: Executable[] = [];
    const on = bench({
      helpers: () => ({
        kind: "host",
        call() {
          nested[0]?.run(on.window, KERNEL_HIGH);
        },
      }),
    });
    const array = on.window + 64;
    on.view().setUint32(on.window, array, true);
    on.view().setUint32(on.window + 4, KERNEL_HIGH, true);
    on.view().setUint32(array + ProgArray.maxEntries, 2, true);
    const self = (slot: number, counter: number, call: string): Executable => {
      const text = `${START}${call}mov %r3, 1\nlock add [%r6+${counter}], %r3\nmov %r3, ${slot}\n${CALL}exit`;
      const executable = on.engine.load(program(text), { engine, mode: "trusted", budget: 100_000 });
      on.view().setUint32(array + ProgArray.slots + 4 * slot, executable.entry, true);
      return executable;
    };
    nested.push(self(0, 8, ""));
    run(on, self(1, 16, "call 1\n"));
    expect(on.view().getUint32(on.window + 16, true)).toBe(34);
    expect(on.view().getUint32(on.window + 8, true)).toBe(34 * 34);
  });

  test("the callee of a checked program has eight frames, its caller's caller no more than before", () => {
    const { on, put } = setUp(1);
    const load = (text: string): Executable => on.engine.load(program(text), { engine, mode: "checked" });
    const recursive = (depth: number, then: string): string =>
      `mov %r8, ${depth}\nmov %r1, %r8\ncall local f\n${then}exit
       f:\nmov %r8, %r1\nsub %r8, 1\njeq %r8, 0, +2\nmov %r1, %r8\ncall local f\nmov %r0, 77\nexit`;
    put(0, load(recursive(7, "")).entry);
    const tail = `${START}mov %r1, %r6\nmov %r2, %r7\nmov %r3, 5\ncall local g\n`;
    const g = "g:\nsub %r3, 1\njeq %r3, 0, +2\ncall local g\nexit\ncall 12\nexit\n";
    expect(run(on, load(`${tail}exit\n${g}`))).toBe(77);
    const deep = load(`${tail}mov %r1, 8\ncall local f\nexit\n${g}f:\nsub %r1, 1\njeq %r1, 0, +1\ncall local f\nexit`);
    deep.run(on.window, KERNEL_HIGH);
    expect(on.engine.fault?.kind).toBe("depth");
  });

  test("instructions of the callee count", () => {
    const { on, load, put } = setUp(1);
    const self = on.engine.load(program(`${START}mov %r3, 0\n${CALL}exit`), { engine, mode: "trusted", budget: 33 });
    put(0, self.entry);
    self.run(on.window, KERNEL_HIGH);
    expect(on.engine.fault).toEqual({ kind: "budget", pc: 0, addressLow: 0, addressHigh: 0 });
    load("exit").dispose();
  });
});
