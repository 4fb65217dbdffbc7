import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { i32, ModuleBuilder, type ValType, WasmBuildError } from "../src/index.js";

const valType = fc.constantFrom<ValType>("i32", "i64", "f32", "f64");

/** A module with something in every section, its shape drawn by fast-check. */
const shape = fc.record({
  imports: fc.array(fc.record({ params: fc.array(valType, { maxLength: 4 }), result: fc.option(valType) }), {
    maxLength: 3,
  }),
  functions: fc.integer({ min: 1, max: 5 }),
  globals: fc.array(
    fc.record({ value: fc.integer(), mutable: fc.boolean(), type: fc.constantFrom("i32" as const, "i64" as const) }),
    { maxLength: 4 },
  ),
  data: fc.array(fc.record({ offset: fc.nat({ max: 60000 }), bytes: fc.uint8Array({ maxLength: 20 }) }), {
    maxLength: 4,
  }),
  tables: fc.integer({ min: 0, max: 2 }),
  memoryMax: fc.option(fc.integer({ min: 1, max: 65536 })),
});
type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never;

/** Function k returns k + 100; each table holds all of them, in reverse, from index 1. */
function build(s: Shape): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder();
  for (const [k, { params, result }] of s.imports.entries()) m.importFunction("env", `i${k}`, params, result);
  m.memory(s.memoryMax === null ? { min: 1 } : { min: 1, max: s.memoryMax });
  m.exportMemory("memory");
  const functions = Array.from({ length: s.functions }, (_, k) => {
    const f = m.function([], "i32");
    f.value(i32.const(k + 100));
    m.exportFunction(`f${k}`, f);
    return f;
  });
  for (const [k, { value, mutable, type }] of s.globals.entries())
    m.exportGlobal(`g${k}`, m.global(value, mutable, type));
  for (let t = 0; t < s.tables; t++) {
    const table = m.table({ min: s.functions + 1 });
    m.exportTable(`t${t}`, table);
    m.element(table, 1, [...functions].reverse());
    const f = m.function(["i32"], "i32");
    f.value(f.callIndirect(m.type([], "i32"), table, f.param<"i32">(0)));
    m.exportFunction(`call${t}`, f);
  }
  for (const { offset, bytes } of s.data) m.data(offset, bytes);
  return m.bytes();
}

interface Exports {
  readonly memory: WebAssembly.Memory;
  readonly [name: string]: unknown;
}

describe("modules", () => {
  test("with any mix of sections validate and hold what was put in", () => {
    fc.assert(
      fc.property(shape, (s) => {
        const bytes = build(s);
        expect(WebAssembly.validate(bytes)).toBe(true);
        const env = Object.fromEntries(s.imports.map((_, k) => [`i${k}`, () => 0]));
        const e = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env }).exports as unknown as Exports;
        for (let k = 0; k < s.functions; k++) expect((e[`f${k}`] as () => number)()).toBe(k + 100);
        for (const [k, { value, type }] of s.globals.entries())
          expect((e[`g${k}`] as WebAssembly.Global).value).toBe(type === "i64" ? BigInt(value) : value);
        const expected = new Uint8Array(65536);
        for (const { offset, bytes: data } of s.data) expected.set(data, offset);
        expect(Buffer.compare(new Uint8Array(e.memory.buffer), expected)).toBe(0);
        for (let t = 0; t < s.tables; t++) {
          const call = e[`call${t}`] as (index: number) => number;
          for (let k = 0; k < s.functions; k++) expect(call(1 + k)).toBe(100 + s.functions - 1 - k);
          expect(() => call(0)).toThrow(WebAssembly.RuntimeError);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("equal calls give equal bytes", () => {
    fc.assert(
      fc.property(shape, (s) => Buffer.compare(build(s), build(s)) === 0),
      { numRuns: 30 },
    );
  });

  test("asking for the bytes twice gives the same bytes", () => {
    const m = new ModuleBuilder();
    m.exportFunction("f", m.function([], null));
    expect(m.bytes()).toEqual(m.bytes());
  });

  test("equal function types share one entry of the type section", () => {
    const m = new ModuleBuilder();
    expect(m.type(["i32"], "i64").index).toBe(m.type(["i32"], "i64").index);
    expect(m.type(["i32", "i64"], null).index).not.toBe(m.type(["i32"], "i64").index);
  });

  test("imported functions, memory, tables and globals are those of the host", () => {
    const m = new ModuleBuilder();
    const add = m.importFunction("env", "add", ["i32", "i32"], "i32");
    m.importMemory("env", "memory", { min: 1, max: 2 });
    const table = m.importTable("env", "table", { min: 2 });
    const counter = m.importGlobal("env", "counter", "i32", true);
    const own = m.global(7, false);
    const f = m.function(["i32"], "i32");
    f.globalSet(counter, i32.add(f.globalGet(counter), f.globalGet(own)));
    f.drop(f.globalGet(own));
    f.value(f.call(add, i32.load8_u(f.param<"i32">(0)), i32.const(1)));
    m.element(table, 1, [f]);
    m.exportFunction("f", f);
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 2 });
    new Uint8Array(memory.buffer)[5] = 40;
    const host = new WebAssembly.Table({ element: "anyfunc", initial: 2 });
    const global = new WebAssembly.Global({ value: "i32", mutable: true }, 3);
    const env = { add: (a: number, b: number) => a + b, memory, table: host, counter: global };
    const e = new WebAssembly.Instance(new WebAssembly.Module(m.bytes()), { env }).exports as {
      f: (at: number) => number;
    };
    expect(e.f(5)).toBe(41);
    expect(global.value).toBe(10);
    expect(host.get(1)).toBe(e.f);
    expect(host.get(0)).toBeNull();
  });

  test("a function without result is called as a statement", () => {
    const m = new ModuleBuilder();
    const seen: number[] = [];
    const note = m.importFunction("env", "note", ["i32"], null);
    const f = m.function([], null);
    f.do(f.call(note, i32.const(3)));
    f.return();
    m.exportFunction("f", f);
    const e = new WebAssembly.Instance(new WebAssembly.Module(m.bytes()), {
      env: { note: (v: number) => seen.push(v) },
    }).exports as { f: () => void };
    e.f();
    expect(seen).toEqual([3]);
  });

  test("`unreachable` traps", () => {
    const m = new ModuleBuilder();
    const f = m.function([], null);
    f.unreachable();
    m.exportFunction("f", f);
    const e = new WebAssembly.Instance(new WebAssembly.Module(m.bytes())).exports as { f: () => void };
    expect(e.f).toThrow(WebAssembly.RuntimeError);
  });
});

describe("temporaries", () => {
  test("return to the pool at the end of their scope, by type", () => {
    const m = new ModuleBuilder();
    const f = m.function([], null);
    const first = f.scope(() => [f.temp("i32").index, f.temp("i64").index]);
    const again = f.scope(() => [f.temp("i32").index, f.temp("i64").index, f.temp("i32").index]);
    expect(again.slice(0, 2)).toEqual(first);
    expect(first).not.toContain(again[2]);
    m.exportFunction("f", f);
    expect(WebAssembly.validate(m.bytes())).toBe(true);
  });

  test("of an outer scope stay while an inner one is used", () => {
    const f = new ModuleBuilder().function([], null);
    f.scope(() => {
      const outer = f.temp("i32");
      f.scope(() => expect(f.temp("i32").index).not.toBe(outer.index));
    });
  });
});

describe("misuse is a WasmBuildError that says what is wrong", () => {
  const module = (): ModuleBuilder => new ModuleBuilder();

  test("an import after a definition of its kind", () => {
    const m = module();
    m.function([], null);
    m.table({ min: 1 });
    m.global(0, false);
    expect(() => m.importFunction("env", "f", [], null)).toThrow(WasmBuildError);
    expect(() => m.importTable("env", "t", { min: 1 })).toThrow(WasmBuildError);
    expect(() => m.importGlobal("env", "g", "i32", false)).toThrow(WasmBuildError);
  });

  test("a parameter that the function does not have", () => {
    expect(() => module().function(["i32"], null).param(1)).toThrow(/no parameter 1; the function has 1/);
  });

  test("a temporary outside a scope", () => {
    expect(() => module().function([], null).temp("i32")).toThrow(WasmBuildError);
  });

  test("a branch to a construct that has ended", () => {
    const f = module().function([], null);
    let inner = { depth: 0 };
    f.block((l) => {
      inner = l;
    });
    expect(() => f.br(inner)).toThrow(/its construct has ended/);
    expect(() => f.brIf(i32.const(1), inner)).toThrow(WasmBuildError);
    expect(() => f.brTable(i32.const(1), [], inner)).toThrow(WasmBuildError);
  });

  test("a shared memory without maximum", () => {
    const m = module();
    m.importMemory("env", "memory", { min: 1 }, true);
    expect(() => m.bytes()).toThrow(/needs a maximum/);
  });
});
