import { type FunctionBuilder, i32, i64, ModuleBuilder } from "@vm/wasm";
import { describe, expect, test } from "vitest";
import { FlagOp, flagKind, workOutAny } from "../../src/emit/lazy-flags.js";
import { FlagLocals, PAIR, RegionFlags, UNKNOWN } from "../../src/jit/flags.js";
import type { I32, I64, Local64, Size } from "../../src/sem/ctx.js";
import { FlagPair, type FlagWords } from "../../src/sem/flag-pair.js";
import type { Flags } from "../../src/sem/flags.js";
import { truncate } from "../../src/sem/widths.js";
import { Random } from "../../tools/random.js";

const SIZES: readonly Size[] = [1, 2, 4, 8];
const c64 = (value: number): I64 => i64.const(value);

/** Operands of an operation: zero-extended from its size. */
interface Operands {
  readonly f: FunctionBuilder;
  readonly size: Size;
  readonly a: Local64;
  readonly b: Local64;
}
const bit = (value: I64, at: number): I64 => i64.and(i64.shr_u(value, c64(at)), c64(1));

/** What instructions do to the flags, each as its row does it. */
const OPERATIONS = {
  add: (flags, { f, a, b }) => flags.add(a, b, f.let("i64", i64.add(a, b))),
  adc: (flags, { f, a, b }) => flags.adc(a, b, f.let("i64", i64.add(i64.add(a, b), flags.carry()))),
  sub: (flags, { f, a, b }) => flags.sub(a, b, f.let("i64", i64.sub(a, b))),
  sbb: (flags, { f, a, b }) => flags.sbb(a, b, f.let("i64", i64.sub(i64.sub(a, b), flags.carry()))),
  increment: (flags, { f, a }) => flags.increment(a, f.let("i64", c64(1)), f.let("i64", i64.add(a, c64(1)))),
  decrement: (flags, { f, a }) => flags.decrement(a, f.let("i64", c64(1)), f.let("i64", i64.sub(a, c64(1)))),
  logic: (flags, { f, a, b }) => flags.logic(f.let("i64", i64.xor(a, b))),
  result: (flags, { f, a, b }) => flags.result(f.let("i64", a), bit(b, 0), bit(b, 1)),
  compare: (flags, { a, b }) => flags.compare(i32.wrap_i64(bit(a, 0)), i32.wrap_i64(bit(b, 0))),
  setCarryOverflow: (flags, { b }) => flags.setCarryOverflow(bit(b, 0), bit(b, 1)),
  /** As RCL does: what CF becomes depends on what it was. */
  rotate: (flags, { b }) => flags.setCarryOverflow(i64.xor(flags.carry(), bit(b, 0)), i64.xor(flags.carry(), c64(1))),
  setCarry: (flags, { b }) => flags.setCarry(bit(b, 0)),
  complement: (flags) => flags.setCarry(i64.xor(flags.carry(), c64(1))),
  unpack: (flags, { a }) => flags.unpack(i32.wrap_i64(a)),
} satisfies Record<string, (flags: Flags, operands: Operands) => void>;
type Operation = keyof typeof OPERATIONS;
const NAMES = Object.keys(OPERATIONS) as Operation[];

interface Step {
  readonly operation: Operation;
  readonly size: Size;
}

const PACKED = 0;
const CONDITIONS = 4;
const CARRY = 8;
const OVERFLOW = 16;
const BYTES = 24;

/** Where the words of a pair are: locals. */
function pairOf(f: FunctionBuilder): FlagWords {
  const [fr, fa] = [f.local("i64"), f.local("i64")];
  return { fr: () => fr, fa: () => fa, setFr: (value) => f.set(fr, value), setFa: (value) => f.set(fa, value) };
}

/**
 * Does the steps and writes all that can be asked of the flags then.
 * @param before is written when the last step is
 * @param asked conditions that are asked for behind each step, whose answers must not depend on whether somebody asked before
 */
function doSteps(
  f: FunctionBuilder,
  flagsOf: (size: Size) => Flags,
  steps: readonly Step[],
  asked: readonly number[],
  before: () => void = () => undefined,
): void {
  const out = f.param<"i32">(0);
  // Flags from before.
  f.scope(() => flagsOf(8).unpack(i32.wrap_i64(f.param<"i64">(5))));
  steps.forEach(({ operation, size }, k) => {
    f.scope(() => {
      const operand = (number: number): Local64 => f.let("i64", truncate(f.param<"i64">(number), size));
      const flags = flagsOf(size);
      OPERATIONS[operation](flags, { f, size, a: operand(1 + 2 * (k & 1)), b: operand(2 + 2 * (k & 1)) });
      for (const cc of asked) f.drop(flags.condition(cc));
    });
  });
  before();
  f.scope(() => {
    const flags = flagsOf(steps.at(-1)?.size ?? 8);
    f.store("i64.store", out, flags.carry(), CARRY);
    f.store("i64.store", out, flags.overflow(), OVERFLOW);
    const conditions = Array.from({ length: 16 }, (_, cc) => f.let("i32", flags.condition(cc)));
    const all = conditions.reduce<I32>((sum, value, cc) => i32.or(sum, i32.shl(value, i32.const(cc))), i32.const(0));
    f.store("i32.store", out, all, CONDITIONS);
    f.store("i32.store", out, flags.pack(), PACKED);
  });
  f.return();
}

type Compiled = (out: number, a: bigint, b: bigint, c: bigint, d: bigint, flags: bigint) => void;

/**
 * Both implementations of several sequences, in one module: what they answer for operands.
 * @param told the operation is forgotten behind the last step: the number that `tell` left has to do
 */
function compile(sequences: readonly (readonly Step[])[], asked: readonly number[] = [], told = false) {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const m = new ModuleBuilder();
  m.importMemory("vm", "memory", { min: 1, max: 1 });
  sequences.forEach((steps, k) => {
    const lazy = m.function(["i32", "i64", "i64", "i64", "i64", "i64"], null);
    const locals = new FlagLocals(lazy);
    locals.state = PAIR;
    const forget = (): void => {
      locals.tell();
      locals.state = UNKNOWN;
      workOutAny(lazy, locals.kind, locals, locals.b);
      locals.state = PAIR;
    };
    doSteps(lazy, (size) => new RegionFlags(lazy, size, locals), steps, asked, told ? forget : undefined);
    m.exportFunction(`lazy${k}`, lazy);
    const eager = m.function(["i32", "i64", "i64", "i64", "i64", "i64"], null);
    const words = pairOf(eager);
    doSteps(eager, (size) => new FlagPair(eager, size, words), steps, asked);
    m.exportFunction(`eager${k}`, eager);
  });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.bytes()), { vm: { memory } });
  const bytes = Buffer.from(memory.buffer);
  return (k: number, operands: readonly bigint[]): readonly [Buffer, Buffer] => {
    (exports[`lazy${k}`] as Compiled)(0, ...(operands as [bigint, bigint, bigint, bigint, bigint]));
    (exports[`eager${k}`] as Compiled)(BYTES, ...(operands as [bigint, bigint, bigint, bigint, bigint]));
    return [bytes.subarray(0, BYTES), bytes.subarray(BYTES, 2 * BYTES)];
  };
}

const EDGES = [0n, 1n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn];
const EDGES64 = [0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn, 0x1_0000_0000n];

const operandOf = (random: Random): bigint =>
  random.oneIn(2) ? random.pick([...EDGES, ...EDGES64]) : random.oneIn(3) ? BigInt(random.below(256)) : random.word();

/** Five operands; often two are the same, or neighbours. */
function operandsOf(random: Random): bigint[] {
  const [a, b, c, d] = Array.from({ length: 4 }, () => operandOf(random)) as [bigint, bigint, bigint, bigint];
  const close = BigInt.asUintN(64, a + BigInt(random.below(3) - 1));
  return [a, random.oneIn(3) ? close : b, c, random.oneIn(3) ? c : d, BigInt(random.below(4096))];
}

function agree(
  sequences: readonly (readonly Step[])[],
  random: Random,
  times: number,
  asked?: readonly number[],
): void {
  const answers = compile(sequences, asked);
  sequences.forEach((steps, k) => {
    for (let n = 0; n < times; n++) {
      const operands = operandsOf(random);
      const [lazy, eager] = answers(k, operands);
      if (!lazy.equals(eager))
        expect(lazy.toString("hex"), `${JSON.stringify(steps)} of ${operands.map((o) => o.toString(16))}`).toBe(
          eager.toString("hex"),
        );
    }
  });
}

describe("flags that are kept as operands are those that are worked out at once", () => {
  test.each(NAMES)("after %s of every size: each condition, CF, OF and all six", (operation) => {
    agree(
      SIZES.map((size) => [{ operation, size }]),
      new Random(1),
      3000,
    );
  });

  test("after each operation behind each other, of any two sizes", () => {
    const pairs = NAMES.flatMap((first) => NAMES.map((second) => [first, second] as const));
    const random = new Random(2);
    const sequences = pairs.flatMap(([first, second]) =>
      [0, 1, 2].map(() => [
        { operation: first, size: random.pick(SIZES) },
        { operation: second, size: random.pick(SIZES) },
      ]),
    );
    agree(sequences, random, 60);
  });

  test("after sequences, whatever was asked for in between", () => {
    const random = new Random(3);
    for (let n = 0; n < 20; n++) {
      const sequences = Array.from({ length: 10 }, () =>
        Array.from({ length: 3 + random.below(5) }, () => ({
          operation: random.pick(NAMES),
          size: random.pick(SIZES),
        })),
      );
      agree(sequences, random, 20, random.oneIn(2) ? [] : [random.below(16), random.below(16)]);
    }
  });
});

describe("flags whose operation only execution tells", () => {
  test.each(NAMES)("are worked out by its number after %s", (operation) => {
    const random = new Random(4);
    const answers = compile(
      SIZES.map((size) => [{ operation, size }]),
      [],
      true,
    );
    for (let n = 0; n < 4000; n++) {
      const [lazy, eager] = answers(n & 3, operandsOf(random));
      if (!lazy.equals(eager)) expect(lazy.toString("hex")).toBe(eager.toString("hex"));
    }
  });

  test("have a number for each operation and size; worked out is none", () => {
    const kinds = SIZES.flatMap((size) => [1, 2, 3, 4, 5, 6, 7].map((op) => flagKind(op as FlagOp, size)));
    expect(new Set(kinds).size).toBe(28);
    expect(kinds).not.toContain(0);
    for (const size of SIZES) expect(flagKind(FlagOp.Pair, size)).toBe(0);
  });

  test("cannot be asked for before they are worked out", () => {
    const m = new ModuleBuilder();
    const f = m.function([], null);
    const locals = new FlagLocals(f);
    expect(() => new RegionFlags(f, 4, locals).carry()).toThrow(/only execution tells/);
  });
});
