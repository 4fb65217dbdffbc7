import { expect, test } from "vitest";
import { i32, i64, ModuleBuilder } from "../src/index.js";

function sumModule(): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder();
  const f = m.function(["i32"], "i32");
  const n = f.param<"i32">(0);
  const sum = f.local("i32");
  f.loop((again) => {
    f.set(sum, i32.add(sum, n));
    f.brIf(f.tee(n, i32.sub(n, i32.const(1))), again);
  });
  f.value(sum);
  m.exportFunction("sum", f);
  return m.bytes();
}

test("a loop with a tee'd counter sums 1..n", () => {
  const bytes = sumModule();
  expect(WebAssembly.validate(bytes)).toBe(true);
  const { sum } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as { sum: (n: number) => number };
  expect(sum(100)).toBe(5050);
});

test("equal calls give equal bytes", () => {
  expect(sumModule()).toEqual(sumModule());
});

test("i64 constants keep all 64 bits", () => {
  const m = new ModuleBuilder();
  const values = [
    0n,
    1n,
    -1n,
    63n,
    64n,
    -64n,
    -65n,
    0x7fffffffn,
    0x80000000n,
    -(1n << 63n),
    (1n << 63n) - 1n,
    0x0123456789abcdefn,
  ];
  for (const [k, v] of values.entries()) {
    const f = m.function([], "i64");
    f.value(i64.const(v));
    m.exportFunction(`c${k}`, f);
  }
  const e = new WebAssembly.Instance(new WebAssembly.Module(m.bytes())).exports as Record<string, () => bigint>;
  for (const [k, v] of values.entries()) expect(e[`c${k}`]?.()).toBe(v);
});
