import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Expr, i32, i64, ModuleBuilder } from "../src/index.js";

/** Width and sign conversions of the reference: values are unsigned BigInts below 2^bits. */
const wrap = (bits: number, v: bigint): bigint => BigInt.asUintN(bits, v);
const signed = (bits: number, v: bigint): bigint => BigInt.asIntN(bits, v);

/** Division by zero and the one overflowing quotient (core spec 4.3.2). */
class Trap extends Error {}

type Reference = (bits: number, a: bigint, b: bigint) => bigint;
const bool = (x: boolean): bigint => (x ? 1n : 0n);
const divisor = (b: bigint): bigint => {
  if (b === 0n) throw new Trap();
  return b;
};
const rotate = (bits: number, a: bigint, by: bigint): bigint => (a << by) | (a >> (BigInt(bits) - by));

/** Binary operations by name (core spec 4.3.2). */
const BINARY: Readonly<Record<string, Reference>> = {
  add: (_, a, b) => a + b,
  sub: (_, a, b) => a - b,
  mul: (_, a, b) => a * b,
  div_u: (_, a, b) => a / divisor(b),
  rem_u: (_, a, b) => a % divisor(b),
  div_s: (n, a, b) => {
    const quotient = signed(n, a) / divisor(signed(n, b));
    if (quotient === 1n << BigInt(n - 1)) throw new Trap();
    return quotient;
  },
  rem_s: (n, a, b) => signed(n, a) % divisor(signed(n, b)),
  and: (_, a, b) => a & b,
  or: (_, a, b) => a | b,
  xor: (_, a, b) => a ^ b,
  shl: (n, a, b) => a << (b % BigInt(n)),
  shr_u: (n, a, b) => a >> (b % BigInt(n)),
  shr_s: (n, a, b) => signed(n, a) >> (b % BigInt(n)),
  rotl: (n, a, b) => rotate(n, a, b % BigInt(n)),
  rotr: (n, a, b) => rotate(n, a, (BigInt(n) - (b % BigInt(n))) % BigInt(n)),
};
const COMPARISONS: Readonly<Record<string, Reference>> = {
  eq: (_, a, b) => bool(a === b),
  ne: (_, a, b) => bool(a !== b),
  lt_s: (n, a, b) => bool(signed(n, a) < signed(n, b)),
  lt_u: (_, a, b) => bool(a < b),
  gt_s: (n, a, b) => bool(signed(n, a) > signed(n, b)),
  gt_u: (_, a, b) => bool(a > b),
  le_s: (n, a, b) => bool(signed(n, a) <= signed(n, b)),
  le_u: (_, a, b) => bool(a <= b),
  ge_s: (n, a, b) => bool(signed(n, a) >= signed(n, b)),
  ge_u: (_, a, b) => bool(a >= b),
};
const binaryDigits = (n: number, a: bigint): string => a.toString(2).padStart(n, "0");
const UNARY: Readonly<Record<string, (bits: number, a: bigint) => bigint>> = {
  clz: (n, a) => BigInt(`${binaryDigits(n, a)}1`.indexOf("1")),
  ctz: (n, a) => BigInt(`1${binaryDigits(n, a)}`.length - 1 - `1${binaryDigits(n, a)}`.lastIndexOf("1")),
  popcnt: (n, a) => BigInt(binaryDigits(n, a).replaceAll("0", "").length),
  extend8_s: (_, a) => signed(8, a),
  extend16_s: (_, a) => signed(16, a),
};

interface Tree {
  readonly op: string;
  readonly value: bigint;
  readonly operands: readonly Tree[];
}

const WIDTHS = { i32: 32, i64: 64 } as const;
type Width = keyof typeof WIDTHS;
const NAMESPACES = { i32, i64 } as unknown as Record<
  Width,
  Record<string, (...operands: Expr<Width>[]) => Expr<Width>>
>;

/** Values around the edges as often as any. */
const value = (bits: number): fc.Arbitrary<bigint> => {
  const top = 1n << BigInt(bits);
  return fc.oneof(
    fc.bigInt({ min: 0n, max: top - 1n }),
    fc.constantFrom(0n, 1n, 2n, 31n, 32n, 63n, 64n, top / 2n - 1n, top / 2n, top - 1n, 0x80n, 0x8000n),
  );
};
const tree = (bits: number): fc.Arbitrary<Tree> =>
  fc.letrec<{ tree: Tree; leaf: Tree }>((tie) => ({
    leaf: fc.oneof(
      value(bits).map((v): Tree => ({ op: "const", value: v, operands: [] })),
      fc.constantFrom("a", "b").map((op): Tree => ({ op, value: 0n, operands: [] })),
    ),
    tree: fc.oneof(
      { maxDepth: 5, depthSize: "small" },
      tie("leaf"),
      fc
        .tuple(fc.constantFrom(...Object.keys(BINARY)), tie("tree"), tie("tree"))
        .map(([op, a, b]): Tree => ({ op, value: 0n, operands: [a, b] })),
      fc
        .tuple(fc.constantFrom(...Object.keys(UNARY)), tie("tree"))
        .map(([op, a]): Tree => ({ op, value: 0n, operands: [a] })),
    ),
  })).tree;

function evaluate(bits: number, t: Tree, a: bigint, b: bigint): bigint {
  if (t.op === "const") return t.value;
  if (t.op === "a" || t.op === "b") return t.op === "a" ? a : b;
  const [x = 0n, y = 0n] = t.operands.map((operand) => evaluate(bits, operand, a, b));
  const apply = BINARY[t.op] ?? ((n: number) => (UNARY[t.op] as (n: number, a: bigint) => bigint)(n, x));
  return wrap(bits, apply(bits, x, y));
}

/** A function of two parameters whose value is made unsigned, as the reference's are. */
function compile(
  width: Width,
  build: (a: Expr<Width>, b: Expr<Width>) => Expr<Width>,
): (a: bigint, b: bigint) => bigint {
  const m = new ModuleBuilder();
  const f = m.function([width, width], width);
  f.value(build(f.param(0), f.param(1)));
  m.exportFunction("f", f);
  const run = (
    new WebAssembly.Instance(new WebAssembly.Module(m.bytes())).exports as {
      f: (a: unknown, b: unknown) => bigint | number;
    }
  ).f;
  const pass = (v: bigint): unknown => (width === "i32" ? Number(v) : v);
  return (a, b) => wrap(WIDTHS[width], BigInt(run(pass(a), pass(b))));
}

const outcome = (run: () => bigint): bigint | "trap" => {
  try {
    return run();
  } catch (error) {
    if (error instanceof Trap || error instanceof WebAssembly.RuntimeError) return "trap";
    throw error;
  }
};

describe.each(["i32", "i64"] as const)("%s", (width) => {
  const bits = WIDTHS[width];
  const space = NAMESPACES[width];
  const call = (name: string, ...operands: Expr<Width>[]): Expr<Width> =>
    (space[name] as (typeof space)[string])(...operands);

  test.each(Object.keys(BINARY))("%s computes what the specification says", (name) => {
    const run = compile(width, (a, b) => call(name, a, b));
    const reference = BINARY[name] as Reference;
    fc.assert(
      fc.property(value(bits), value(bits), (a, b) => {
        expect(outcome(() => run(a, b))).toBe(outcome(() => wrap(bits, reference(bits, a, b))));
      }),
    );
  });

  test.each(Object.keys(COMPARISONS))("%s compares as the specification says", (name) => {
    const m = new ModuleBuilder();
    const f = m.function([width, width], "i32");
    f.value(call(name, f.param(0), f.param(1)));
    m.exportFunction("f", f);
    const run = (
      new WebAssembly.Instance(new WebAssembly.Module(m.bytes())).exports as { f: (a: unknown, b: unknown) => number }
    ).f;
    const pass = (v: bigint): unknown => (width === "i32" ? Number(v) : v);
    const reference = COMPARISONS[name] as Reference;
    fc.assert(
      fc.property(value(bits), fc.boolean(), value(bits), (a, same, other) => {
        const b = same ? a : other;
        expect(BigInt(run(pass(a), pass(b)))).toBe(reference(bits, a, b));
      }),
    );
  });

  test("trees of operations compute what a BigInt reference does", () => {
    fc.assert(
      fc.property(tree(bits), value(bits), value(bits), (t, a, b) => {
        const emit = (node: Tree, x: Expr<Width>, y: Expr<Width>): Expr<Width> => {
          if (node.op === "const")
            return (width === "i32" ? i32.const(Number(node.value)) : i64.const(node.value)) as Expr<Width>;
          if (node.op === "a" || node.op === "b") return node.op === "a" ? x : y;
          return call(node.op, ...node.operands.map((operand) => emit(operand, x, y)));
        };
        const run = compile(width, (x, y) => emit(t, x, y));
        expect(outcome(() => run(a, b))).toBe(outcome(() => evaluate(bits, t, a, b)));
      }),
      { numRuns: 300 },
    );
  });
});
