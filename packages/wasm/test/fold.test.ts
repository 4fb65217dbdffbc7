import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Expr, type FunctionBuilder, i32, i64, type Local, ModuleBuilder, WasmBuildError } from "../src/index.js";

type I64 = Expr<"i64">;

/** Expressions over two parameters; `let` and `assign` go through locals whose width is followed. */
type Tree =
  | { readonly kind: "constant"; readonly value: bigint }
  | { readonly kind: "parameter"; readonly number: number; readonly mask: number }
  | { readonly kind: "word"; readonly number: number }
  | { readonly kind: "let"; readonly of: Tree }
  | { readonly kind: "set"; readonly before: Tree; readonly of: Tree }
  | {
      readonly kind: "flag";
      readonly comparison: keyof typeof COMPARE;
      readonly opposite: boolean;
      readonly a: Tree;
      readonly b: Tree;
    }
  | { readonly kind: "operation"; readonly name: keyof typeof OPERATIONS; readonly a: Tree; readonly b: Tree };

const u64 = (v: bigint): bigint => BigInt.asUintN(64, v);
const s64 = (v: bigint): bigint => BigInt.asIntN(64, v);

/** Operations that fold, on unsigned values (core spec 4.3.2). */
const OPERATIONS = {
  add: (a: bigint, b: bigint) => a + b,
  sub: (a: bigint, b: bigint) => a - b,
  and: (a: bigint, b: bigint) => a & b,
  or: (a: bigint, b: bigint) => a | b,
  xor: (a: bigint, b: bigint) => a ^ b,
  shl: (a: bigint, b: bigint) => a << (b & 63n),
  shr_s: (a: bigint, b: bigint) => s64(a) >> (b & 63n),
  shr_u: (a: bigint, b: bigint) => a >> (b & 63n),
};
const COMPARE = {
  eq: (a: bigint, b: bigint) => a === b,
  ne: (a: bigint, b: bigint) => a !== b,
  lt_s: (a: bigint, b: bigint) => s64(a) < s64(b),
  lt_u: (a: bigint, b: bigint) => a < b,
  gt_s: (a: bigint, b: bigint) => s64(a) > s64(b),
  gt_u: (a: bigint, b: bigint) => a > b,
  le_s: (a: bigint, b: bigint) => s64(a) <= s64(b),
  le_u: (a: bigint, b: bigint) => a <= b,
  ge_s: (a: bigint, b: bigint) => s64(a) >= s64(b),
  ge_u: (a: bigint, b: bigint) => a >= b,
};

/** Numbers at which something changes: few bits, masks, shift counts, halves that are negative. */
const special = fc.constantFrom(
  ...[0n, 1n, 3n, 7n, 31n, 32n, 63n, 64n, 0x7fn, 0x80n, 0xffn, 0x100n, 0xffffn, 0x7fff_ffffn, 0x8000_0000n],
  ...[0xffff_ffffn, 0x1_0000_0000n, 0xffff_ffff_0000_0000n, 0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, u64(-1n)],
);
const word = fc.oneof(special, fc.bigInt({ min: 0n, max: u64(-1n) }), fc.bigInt({ min: 0n, max: 0xffn }));
const names = fc.constantFrom(...(Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[]));
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 6, depthSize: "large", withCrossShrink: true },
    fc.record({ kind: fc.constant("constant" as const), value: word }),
    fc.record({
      kind: fc.constant("parameter" as const),
      number: fc.nat(1),
      mask: fc.constantFrom(1, 8, 16, 32, 33, 64),
    }),
    fc.record({ kind: fc.constant("word" as const), number: fc.nat(1) }),
    fc.record({ kind: fc.constant("let" as const), of: tie("tree") }),
    fc.record({ kind: fc.constant("set" as const), before: tie("tree"), of: tie("tree") }),
    fc.record({
      kind: fc.constant("flag" as const),
      comparison: fc.constantFrom(...(Object.keys(COMPARE) as (keyof typeof COMPARE)[])),
      opposite: fc.boolean(),
      a: tie("tree"),
      b: tie("tree"),
    }),
    ...[0, 1, 2].map(() =>
      fc.record({ kind: fc.constant("operation" as const), name: names, a: tie("tree"), b: tie("tree") }),
    ),
  ),
}));

const mask = (bits: number): bigint => (1n << BigInt(bits)) - 1n;

function write(f: FunctionBuilder, from: Tree): I64 {
  switch (from.kind) {
    case "constant":
      return i64.const(from.value);
    case "parameter":
      return i64.and(f.param<"i64">(from.number), i64.const(mask(from.mask)));
    case "word":
      return i64.extend_i32_u(i32.wrap_i64(f.param<"i64">(from.number)));
    case "let":
      return f.let("i64", write(f, from.of));
    case "set": {
      const local = f.let("i64", write(f, from.before));
      f.set(local, write(f, from.of));
      return local;
    }
    case "flag": {
      const flag = i64[from.comparison](write(f, from.a), write(f, from.b));
      return i64.extend_i32_u(from.opposite ? i32.eqz(flag) : flag);
    }
    case "operation":
      return i64[from.name](write(f, from.a), write(f, from.b));
  }
}

function reference(from: Tree, parameters: readonly bigint[]): bigint {
  switch (from.kind) {
    case "constant":
      return from.value;
    case "parameter":
      return (parameters[from.number] as bigint) & mask(from.mask);
    case "word":
      return (parameters[from.number] as bigint) & mask(32);
    case "let":
    case "set":
      return reference(from.of, parameters);
    case "flag": {
      const flag = COMPARE[from.comparison](reference(from.a, parameters), reference(from.b, parameters));
      return flag !== from.opposite ? 1n : 0n;
    }
    case "operation":
      return u64(OPERATIONS[from.name](reference(from.a, parameters), reference(from.b, parameters)));
  }
}

type Compiled = (a: bigint, b: bigint) => bigint;

function compile(body: (f: FunctionBuilder) => void): Compiled {
  const m = new ModuleBuilder();
  const f = m.function(["i64", "i64"], "i64");
  body(f);
  m.exportFunction("f", f);
  return new WebAssembly.Instance(new WebAssembly.Module(m.bytes())).exports.f as Compiled;
}

describe("expressions that are folded when they are written", () => {
  test("have the values that the operations have, whatever is known of their operands", () => {
    fc.assert(
      fc.property(tree, fc.array(fc.tuple(word, word), { minLength: 4, maxLength: 8 }), (from, calls) => {
        const compiled = compile((f) => f.scope(() => f.return(write(f, from))));
        for (const [a, b] of calls) expect(u64(compiled(a, b))).toBe(reference(from, [a, b]));
      }),
      { numRuns: 1500 },
    );
  });

  test("are constants if their operands are", () => {
    fc.assert(
      fc.property(names, word, word, (name, a, b) => {
        const folded = i64[name](i64.const(a), i64.const(b));
        expect(folded).toEqual(i64.const(u64(OPERATIONS[name](a, b))));
      }),
    );
  });

  test("leave out masks of bits that cannot be set", () => {
    const bytes = (masks: readonly number[]): number => {
      const m = new ModuleBuilder();
      const f = m.function(["i64"], "i64");
      f.return(masks.reduce<I64>((value, bits) => i64.and(value, i64.const(mask(bits))), f.param(0)));
      return m.bytes().length;
    };
    expect(bytes([8, 16, 32])).toBe(bytes([8]));
    expect(bytes([8])).toBeGreaterThan(bytes([]));
  });
});

describe("the width of a local", () => {
  /** `local`, if it is not wider than a byte, without an AND. */
  const low = (local: Local<"i64">): I64 => i64.and(local, i64.const(0xff));

  test("follows what is assigned to it, where the assignment is not passed by", () => {
    const f = compile((f) => {
      const local = f.local("i64");
      f.assign(local, low(f.param<"i64">(0)), true);
      f.if(i64.ne(f.param<"i64">(1), i64.const(0)), () => f.assign(local, f.param<"i64">(0), false));
      f.return(low(local));
    });
    expect([f(0x1234n, 0n), f(0x1234n, 1n)]).toEqual([0x34n, 0x34n]);
  });

  test("stays what it is when the local is assigned to itself", () => {
    const f = compile((f) => {
      const local = f.local("i64");
      f.assign(local, f.param<"i64">(0), true);
      f.assign(local, local, true);
      f.return(low(local));
    });
    expect(f(0x1234n, 0n)).toBe(0x34n);
  });

  test("is nothing after `widen`", () => {
    const f = compile((f) => {
      const local = f.local("i64");
      f.assign(local, i64.const(1), true);
      f.loop((again) => {
        f.widen(local);
        f.if(i64.eqz(i64.and(local, i64.const(1))), () => f.return(low(local)));
        f.assign(local, f.param<"i64">(0), true);
        f.br(again);
      });
      f.unreachable();
    });
    expect(f(0x1230n, 0n)).toBe(0x30n);
  });

  test("grows with assignments to a temporary in one arm", () => {
    const f = compile((f) =>
      f.scope(() => {
        const local = f.let("i64", low(f.param<"i64">(0)));
        f.if(i64.ne(f.param<"i64">(1), i64.const(0)), () => f.set(local, f.param<"i64">(0)));
        f.return(low(local));
      }),
    );
    expect([f(0x1234n, 0n), f(0x1234n, 1n)]).toEqual([0x34n, 0x34n]);
  });

  test("of a temporary from before a loop may not grow in it: what was written may have counted on it", () => {
    const grow = (width: bigint) => () =>
      compile((f) =>
        f.scope(() => {
          const local = f.let("i64", low(f.param<"i64">(0)));
          f.loop((again) => {
            f.if(i64.eqz(low(local)), () => f.return(local));
            f.set(local, i64.and(f.param<"i64">(1), i64.const(width)));
            f.br(again);
          });
          f.unreachable();
        }),
      );
    expect(grow(0xffffn)).toThrow(WasmBuildError);
    expect(grow(0xffffn)).toThrow(/8 bits/);
    expect(grow(0x7fn)()(1n, 0x1_00n)).toBe(0n);
  });

  test("of a pooled local starts anew with every temporary", () => {
    const f = compile((f) => {
      f.scope(() => f.let("i64", i64.const(1)));
      f.scope(() => {
        const local = f.temp("i64");
        f.if(i64.ne(f.param<"i64">(1), i64.const(0)), () => f.set(local, f.param<"i64">(0)));
        f.return(low(local));
      });
    });
    expect(f(0x1234n, 1n)).toBe(0x34n);
  });
});
