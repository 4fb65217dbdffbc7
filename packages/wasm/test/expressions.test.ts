import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  f32,
  f32x4,
  f64,
  f64x2,
  i8x16,
  i16x8,
  i32,
  i32x4,
  i64,
  i64x2,
  ModuleBuilder,
  type ValType,
  v128,
} from "../src/index.js";
import { CONSTANTS, emitTree, OPERATIONS, PARAMS, type Tree, tree } from "./trees.js";

const TYPES: readonly ValType[] = ["i32", "i64", "f32", "f64", "v128"];

function moduleOf(type: ValType, t: Tree): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder();
  m.memory({ min: 1 });
  const f = m.function(PARAMS, type);
  f.value(emitTree(f, t));
  m.exportFunction("f", f);
  return m.bytes();
}

describe("well-typed expressions", () => {
  test.each(TYPES)("of type %s validate", (type) => {
    fc.assert(
      fc.property(tree(type, 4), (t) => WebAssembly.validate(moduleOf(type, t))),
      { numRuns: 200 },
    );
  });

  test.each(TYPES)("every operation that yields %s validates over parameters and constants", (type) => {
    for (const operation of OPERATIONS[type]) {
      const [leaves] = fc.sample(fc.tuple(...operation.operands.map((operand) => tree(operand, 0))), {
        numRuns: 1,
        seed: 1,
      });
      const bytes = moduleOf(type, { operation, operands: leaves as Tree[] });
      expect(WebAssembly.validate(bytes), operation.name).toBe(true);
    }
  });

  test("every operation the package exports is among those tested", () => {
    const tested = new Set(Object.values(OPERATIONS).flatMap((list) => list.map(({ name }) => name)));
    const spaces = { i32, i64, f32, f64, v128, i8x16, i16x8, i32x4, i64x2, f32x4, f64x2 };
    const all = Object.entries(spaces).flatMap(([prefix, space]) =>
      Object.keys(space)
        .filter((name) => !CONSTANTS.has(name))
        .map((name) => `${prefix}.${name}`),
    );
    expect(all.filter((name) => !tested.has(name))).toEqual([]);
  });

  test("of one type do not validate as another", () => {
    fc.assert(
      fc.property(fc.constantFrom(...TYPES), fc.constantFrom(...TYPES), (type, other) => {
        const [t] = fc.sample(tree(type, 2), { numRuns: 1, seed: 7 });
        return WebAssembly.validate(moduleOf(other, t as Tree)) === (type === other);
      }),
    );
  });
});

test("loads and stores of every width move the bytes they name, at address plus offset", () => {
  const m = new ModuleBuilder();
  m.memory({ min: 1 });
  m.exportMemory("memory");
  const f = m.function(["i64"], "i64");
  const value = f.param<"i64">(0);
  f.store("i64.store", i32.const(8), value, 8);
  f.store("i64.store32", i32.const(24), value);
  f.store("i64.store16", i32.const(28), value);
  f.store("i64.store8", i32.const(30), value);
  f.store("i32.store", i32.const(32), i32.wrap_i64(value));
  f.store("i32.store16", i32.const(36), i32.wrap_i64(value));
  f.store("i32.store8", i32.const(38), i32.wrap_i64(value));
  f.store("f64.store", i32.const(40), f64.reinterpret_i64(value));
  f.store("f32.store", i32.const(48), f32.reinterpret_i32(i32.wrap_i64(value)));
  f.store("v128.store", i32.const(64), i64x2.splat(value));
  f.memoryCopy(i32.const(96), i32.const(64), i32.const(16));
  f.memoryFill(i32.const(112), i32.const(0xab), i32.const(4));
  f.value(i64.load(i32.const(6), 10));
  m.exportFunction("f", f);
  const { f: run, memory } = new WebAssembly.Instance(new WebAssembly.Module(m.bytes())).exports as unknown as {
    f: (v: bigint) => bigint;
    memory: WebAssembly.Memory;
  };
  expect(run(0x1122334455667788n)).toBe(0x1122334455667788n);
  const hex = (at: number, length: number): string => Buffer.from(memory.buffer, at, length).toString("hex");
  expect(hex(16, 8)).toBe("8877665544332211");
  expect(hex(24, 8)).toBe("8877665588778800");
  expect(hex(32, 8)).toBe("8877665588778800");
  expect(hex(40, 12)).toBe("887766554433221188776655");
  expect(hex(96, 20)).toBe("88776655443322118877665544332211abababab");
});
