import { describe, expect, test } from "vitest";
import type { Helper } from "../../src/engine/engine.js";
import { program } from "./assemble.js";
import { type Bench, bench, ENGINES } from "./harness.js";

/** Helper 1: calls the function a1 with (10, a2), (11, a2), ... until it does not return 0; result as bpf_loop's. */
function each(on: () => Bench): Helper {
  return {
    kind: "host",
    call(args) {
      const [index, low, high] = [args.low(0), args.low(1), args.high(1)];
      let count = 0;
      while (on().engine.callback(index, 10 + count++, 0, low, high) === 0);
      // The callback's own calls have not disturbed these.
      args.setResult(args.low(1) === low ? count : -1, 0);
    },
  };
}

/** Helper 2: adds the low halves. */
const add: Helper = { kind: "host", call: (args) => args.setResult(args.low(0) + args.low(1), 0) };

describe.each(ENGINES)("%s", (engine) => {
  const make = (): Bench => {
    const on: Bench = bench({ helpers: (id) => (id === 1 ? each(() => on) : id === 2 ? add : undefined) });
    return on;
  };
  const run = (text: string, on = make()): number => {
    const executable = on.engine.load(program(text), { engine, mode: "checked", budget: 0x7fffffff });
    return executable.run(0, 0);
  };
  const pointer = "mov %r2, %r10\nadd %r2, -8\n";

  test("a host function calls back with arguments, and the callback reaches its caller's frame", () => {
    const text = `stdw [%r10-8], 0
      lddw %r1, func f\n${pointer}call 1\nldxdw %r1, [%r10-8]\nmul %r0, 1000\nadd %r0, %r1\nexit
      f:\nldxdw %r3, [%r2+0]\nadd %r3, %r1\nstxdw [%r2+0], %r3\nstdw [%r10-8], 1
      mov %r0, 0\njlt %r1, 12, +1\nmov %r0, 1\nexit`;
    expect(run(text)).toBe(3000 + 10 + 11 + 12);
  });

  test("a callback may call host functions", () => {
    const text = `lddw %r1, func f\nmov %r2, 3\ncall 1\nexit
      f:\ncall 2\njge %r0, 15, +2\nmov %r0, 0\nexit\nmov %r0, 1\nexit`;
    expect(run(text)).toBe(3);
  });

  test("the upper half of a callback's result is there", () => {
    const highs: number[] = [];
    const on: Bench = bench({
      helpers: () => ({
        kind: "host",
        call(args) {
          on.engine.callback(args.low(0), 1, 2);
          highs.push(on.engine.resultLow, on.engine.resultHigh);
        },
      }),
    });
    run("lddw %r1, func f\ncall 1\nexit\nf:\nmov %r0, %r1\nexit", on);
    expect(highs).toEqual([1, 2]);
  });

  const loop = (count: string, body: string, flags = 0): string => `stdw [%r10-8], 0
      lddw %r1, ${count}\nmov %r6, %r1\nlddw %r2, func f\nmov %r3, %r10\nadd %r3, -8\nmov %r4, ${flags}
      mov %r1, %r6\ncall 181\nldxdw %r1, [%r10-8]\nlsh %r1, 32\nadd %r0, %r1\nexit
      f:\nldxdw %r3, [%r2+0]\nadd %r3, %r1\nstxdw [%r2+0], %r3\n${body}\nexit`;

  test("bpf_loop calls with 0, 1, ... and returns how often", () => {
    const on = make();
    expect(run(loop("10", "mov %r0, 0"), on)).toBe(10);
    expect(on.engine.resultHigh).toBe(45);
  });

  test("bpf_loop ends when the callback returns 1, and counts that call", () => {
    expect(run(loop("10", "mov %r0, 0\njne %r1, 4, +1\nmov %r0, 1"))).toBe(5);
  });

  test("bpf_loop of 0 calls nothing", () => {
    expect(run(loop("0", "mov %r0, 0"))).toBe(0);
  });

  test("bpf_loop takes 2^23 iterations, more are -E2BIG in 32 bits", () => {
    const on = make();
    expect(run(loop("0x800000", "mov %r0, 0"), on)).toBe(0x800000);
    run(loop("0x800001", "mov %r0, 0"), on);
    expect([on.engine.resultLow | 0, on.engine.resultHigh]).toEqual([-7, 0]);
  });

  test("bpf_loop takes no flags", () => {
    const on = make();
    run(loop("1", "mov %r0, 0", 1), on);
    expect(on.engine.resultLow | 0).toBe(-22);
  });

  test("bpf_loop can be nested", () => {
    const text = `stdw [%r10-8], 0\nmov %r1, 7\nlddw %r2, func f\nmov %r3, %r10\nmov %r4, 0\ncall 181\nldxdw %r0, [%r10-8]\nexit
      f:\nmov %r3, %r2\nmov %r1, 11\nlddw %r2, func g\nmov %r4, 0\ncall 181\nmov %r0, 0\nexit
      g:\nmov %r3, 1\nlock add [%r2-8], %r3\nmov %r0, 0\nexit`;
    expect(run(text)).toBe(77);
  });

  test("what callbacks of a host function execute counts", () => {
    const on = make();
    // Ten calls of twelve instructions, the last of thirteen.
    const text = `lddw %r1, func f\nmov %r2, 0\ncall 1\nja +0\nexit
      f:\nmov %r3, 4\nsub %r3, 1\njne %r3, 0, -2\nmov %r0, 0\njlt %r1, 19, +1\nmov %r0, 1\nexit`;
    const faultWith = (budget: number): number | undefined => {
      on.engine.load(program(text), { engine, mode: "checked", budget }).run(0, 0);
      return on.engine.fault?.pc;
    };
    const all = 4 + 10 * 12 + 1 + 1;
    expect(faultWith(all)).toBe(undefined);
    expect(faultWith(all - 1)).toBe(5);
    expect(faultWith(all - 2)).toBe(12);
    expect(faultWith(all - 3)).toBe(11);
  });

  test("a callback that is no function of a program is a fault", () => {
    const on = make();
    run("mov %r1, 1\nmov %r2, 99999\nmov %r3, 0\nmov %r4, 0\ncall 181\nexit", on);
    expect(on.engine.fault?.kind).toBe("trap");
  });

  test("a fault in a callback passes through the host function", () => {
    const on = make();
    run("lddw %r1, func f\nmov %r2, 0\ncall 1\nexit\nf:\nldxdw %r0, [%r2+8]\nexit", on);
    expect(on.engine.fault).toEqual({ kind: "memory", pc: 5, addressLow: 8, addressHigh: 0 });
  });

  test("a callback can be kept, and called when nothing runs", () => {
    let kept = 0;
    const on: Bench = bench({
      helpers: () => ({
        kind: "host",
        call(args) {
          kept = args.low(0);
        },
      }),
    });
    run("lddw %r1, func f\ncall 1\nexit\nf:\nmov %r0, %r1\nadd %r0, %r2\nadd %r0, %r3\nexit", on);
    expect(on.engine.runCallback(kept, 1, 0, 2, 0, 3, 0)).toBe(6);
    expect(on.engine.fault).toBe(null);
  });
});
