import { i64, ModuleBuilder } from "@vm/wasm";
import { describe, expect, test } from "vitest";
import { type Helper, type HostArguments, KERNEL_HIGH } from "../../src/engine/engine.js";
import { program } from "./assemble.js";
import { bench, ENGINES } from "./harness.js";

const host = (call: (args: HostArguments) => void): Helper => ({ kind: "host", call });

/** (a1 + a2 + a3 + a4 + a5) in WebAssembly. */
function sum(): Helper {
  const m = new ModuleBuilder();
  const f = m.function(["i64", "i64", "i64", "i64", "i64"], "i64");
  f.value([1, 2, 3, 4].reduce((value, k) => i64.add(value, f.param<"i64">(k)), i64.add(f.param(0), i64.const(0))));
  m.exportFunction("sum", f);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.bytes()));
  return { kind: "wasm", func: exports.sum as CallableFunction };
}

const ARGUMENTS = "mov %r1, 1\nmov %r2, -2\nlddw %r3, 0x300000004\nmov %r4, 4\nmov %r5, 5\n";

describe.each(ENGINES)("%s", (engine) => {
  const run = (text: string, helpers: Record<number, Helper>, kfuncs: Record<number, Helper> = {}) => {
    const on = bench({ helpers: (id) => helpers[id], kfuncs: (id) => kfuncs[id] });
    const executable = on.engine.load(program(text), { engine, mode: "trusted" });
    const low = executable.run(on.window, KERNEL_HIGH);
    return { on, low, r0: (BigInt(on.engine.resultHigh) << 32n) | BigInt(on.engine.resultLow) };
  };

  test("a host function gets its arguments by halves, as numbers and as BigInts", () => {
    const seen: unknown[] = [];
    run(`${ARGUMENTS}call 7\nexit`, {
      7: host((args) => seen.push(args.low(0), args.high(1), args.low(1), args.number(2), args.big(1), args.low(4))),
    });
    expect(seen).toEqual([1, 0xffffffff, 0xfffffffe, 0x300000004, 0xfffffffffffffffen, 5]);
  });

  test("its result is what it sets: halves, an error, a pointer, or 0", () => {
    const result = (set: (args: HostArguments) => void): bigint => run("call 7\nexit", { 7: host(set) }).r0;
    expect(result((args) => args.setResult(5, 6))).toBe(0x600000005n);
    expect(result((args) => args.setErrno(22))).toBe(BigInt.asUintN(64, -22n));
    expect(result((args) => args.setPointer(0x9000))).toBe((BigInt(KERNEL_HIGH) << 32n) | 0x9000n);
    expect(result(() => undefined)).toBe(0n);
  });

  test("a result that is not set is 0, whatever was there", () => {
    const helpers = { 7: host((args) => args.setResult(5, 5)), 8: host(() => undefined) };
    expect(run("call 7\ncall 8\nexit", helpers).r0).toBe(0n);
  });

  test("a function of WebAssembly is called with its arguments", () => {
    expect(run(`${ARGUMENTS}call 9\nexit`, { 9: sum() }).r0).toBe(0x30000000cn);
  });

  test("kfuncs have numbers of their own", () => {
    const kfuncs = { 7: host((args) => args.setResult(2, 0)) };
    expect(run("call kfunc 7\nexit", { 7: host((args) => args.setResult(1, 0)) }, kfuncs).low).toBe(2);
  });

  test("a call leaves r1 to r9", () => {
    const text = `${ARGUMENTS}mov %r6, 6\ncall 7\nmov %r0, %r1\nadd %r0, %r2\nadd %r0, %r6\nexit`;
    expect(run(text, { 7: host((args) => args.setResult(9, 9)) }).low).toBe(5);
  });

  test("a call by register goes to the helper with the register's number", () => {
    const helpers = { 7: host((args) => args.setResult(args.low(0), 1)), 9: sum() };
    expect(run(`${ARGUMENTS}mov %r6, 7\ncall %r6\nexit`, helpers).r0).toBe(0x100000001n);
    expect(run(`${ARGUMENTS}mov %r6, 9\ncall %r6\nexit`, helpers).r0).toBe(0x30000000cn);
  });

  test("a call by register of a number that has no helper is a fault", () => {
    const { on, low } = run("lddw %r6, 0x100000007\ncall %r6\nexit", { 7: host(() => undefined) });
    expect(low).toBe(0);
    expect(on.engine.fault).toEqual({ kind: "function", pc: 2, addressLow: 7, addressHigh: 1 });
  });

  test("a number that has no function is refused when the program is loaded", () => {
    expect(() => run("mov %r0, 0\ncall 8\nexit", {})).toThrow("EINVAL: instruction 1: there is no helper 8");
    expect(() => run("call kfunc 8\nexit", {})).toThrow("EINVAL: instruction 0: there is no kfunc 8");
  });

  test("what a host function throws comes out of run, and the engine goes on", () => {
    let fail = true;
    const on = bench({
      helpers: () =>
        host((args) => {
          if (fail) throw new TypeError("mine");
          args.setResult(3, 0);
        }),
    });
    const executable = on.engine.load(program("call 7\nexit"), { engine, mode: "trusted" });
    for (let k = 0; k < 1000; k++) expect(() => executable.run(0, 0)).toThrow("mine");
    fail = false;
    expect(executable.run(0, 0)).toBe(3);
  });

  test("a host function may grow the memory", () => {
    const text = "mov %r6, %r1\ncall 7\nldxdw %r0, [%r6+0]\nexit";
    const on = bench({
      helpers: () =>
        host((args) => {
          on.memory.grow(1);
          on.view().setBigUint64(on.window, 77n, true);
          args.setResult(1, 1);
        }),
    });
    const executable = on.engine.load(program(text), { engine, mode: "trusted" });
    expect(executable.run(on.window, KERNEL_HIGH)).toBe(77);
  });

  test("programs can be loaded without blocking", async () => {
    const on = bench({ helpers: () => sum() });
    const executable = await on.engine.loadAsync(program(`${ARGUMENTS}call 9\nexit`), { engine, mode: "trusted" });
    expect(executable.engine).toBe(engine);
    expect(executable.run(0, 0)).toBe(12);
  });
});
