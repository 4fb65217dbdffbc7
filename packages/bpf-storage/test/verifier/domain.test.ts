import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AluOp, JmpOp } from "../../src/isa/opcodes.js";
import { fromBigInt, fromNumber, type Int64, maxS, maxU, minS, minU, shl, ZERO } from "../../src/verifier/int64.js";
import { constant, Draft, has, type Scalar, signedRange, UNKNOWN } from "../../src/verifier/scalar.js";
import { alu, signExtend, zeroExtend, zeroExtend32 } from "../../src/verifier/scalar-alu.js";
import { branchTaken, refine } from "../../src/verifier/scalar-branch.js";
import {
  type Tnum,
  tnumAdd,
  tnumAnd,
  tnumArsh,
  tnumHas,
  tnumIntersect,
  tnumLsh,
  tnumMul,
  tnumOr,
  tnumRange,
  tnumRsh,
  tnumSub,
  tnumXor,
} from "../../src/verifier/tnum.js";
import { aluConcrete, jumpConcrete } from "./concrete.js";

const u64 = (x: bigint): bigint => BigInt.asUintN(64, x);
const isIn = (t: Tnum, x: bigint): boolean => tnumHas(t, fromBigInt(x));

/** All tnums of `bits` bits, and the members of each. */
const smallTnums = (bits: number): { readonly t: Tnum; readonly members: readonly bigint[] }[] => {
  const out: { t: Tnum; members: bigint[] }[] = [];
  const all = 1 << bits;
  for (let mask = 0; mask < all; mask++)
    for (let value = 0; value < all; value++) {
      if ((value & mask) !== 0) continue;
      const t = { value: fromNumber(value), mask: fromNumber(mask) };
      const members: bigint[] = [];
      for (let x = 0; x < all; x++) if ((x & ~mask) === value) members.push(BigInt(x));
      out.push({ t, members });
    }
  return out;
};

describe("tracked bits, all of four bits", () => {
  const small = smallTnums(4);
  const binary: readonly (readonly [string, (a: Tnum, b: Tnum) => Tnum, (x: bigint, y: bigint) => bigint])[] = [
    ["sum", tnumAdd, (x, y) => x + y],
    ["difference", tnumSub, (x, y) => x - y],
    ["product", tnumMul, (x, y) => x * y],
    ["and", tnumAnd, (x, y) => x & y],
    ["or", tnumOr, (x, y) => x | y],
    ["xor", tnumXor, (x, y) => x ^ y],
  ];
  for (const [name, abstract, concrete] of binary)
    test(`the ${name} of members is a member of the ${name}`, () => {
      let missing = 0;
      for (const a of small)
        for (const b of small) {
          const t = abstract(a.t, b.t);
          for (const x of a.members) for (const y of b.members) if (!isIn(t, concrete(x, y))) missing++;
        }
      expect(missing).toBe(0);
    });

  test("shifts of members are members of shifts", () => {
    for (const { t, members } of small)
      for (let by = 0; by < 4; by++)
        for (const x of members) {
          const n = BigInt(by);
          expect(isIn(tnumLsh(t, by), x << n)).toBe(true);
          expect(isIn(tnumRsh(t, by), x >> n)).toBe(true);
          const high = { value: shl(t.value, 60), mask: shl(t.mask, 60) };
          expect(isIn(tnumArsh(high, by, 64), BigInt.asIntN(64, x << 60n) >> n)).toBe(true);
        }
  });

  test("what both say holds of common members", () => {
    for (const a of small)
      for (const b of small)
        for (const x of a.members) if (b.members.includes(x)) expect(isIn(tnumIntersect(a.t, b.t), x)).toBe(true);
  });

  test("a range is within its tnum", () => {
    for (let min = 0; min < 16; min++)
      for (let max = min; max < 16; max++)
        for (let x = min; x <= max; x++)
          expect(tnumHas(tnumRange(fromNumber(min), fromNumber(max)), fromNumber(x))).toBe(true);
  });
});

const EDGES = [
  ...[
    0n,
    1n,
    2n,
    3n,
    7n,
    8n,
    31n,
    32n,
    63n,
    64n,
    127n,
    128n,
    255n,
    256n,
    0x7fffn,
    0x8000n,
    0xffffn,
    0x7fff_ffffn,
    0x8000_0000n,
  ],
  ...[
    0x8000_0001n,
    0xffff_fffen,
    0xffff_ffffn,
    0x1_0000_0000n,
    0x1_8000_0000n,
    (1n << 63n) - 1n,
    1n << 63n,
    (1n << 63n) + 1n,
  ],
  ...[-1n, -2n, -8n, -128n, -0x8000n, -0x8000_0000n, -0x8000_0001n, -0x1_0000_0000n].map(u64),
];
const word = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...EDGES) },
  { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }) },
);

/** A scalar, and a number that is in it: made from the number outwards, part by part. */
const withMember: fc.Arbitrary<{ readonly s: Scalar; readonly x: bigint }> = fc
  .tuple(word, word, word, word, fc.integer({ min: 0, max: 63 }))
  .map(([x, a, b, mask, parts]) => {
    const to = new Draft();
    const low = (y: bigint): number => Number(y & 0xffff_ffffn);
    const signed = (y: bigint): bigint => BigInt.asIntN(64, y);
    const sort = <T extends bigint | number>(...xs: T[]): T[] => xs.sort((p, q) => (p < q ? -1 : p > q ? 1 : 0));
    const words = (...xs: bigint[]) => sort(...xs).map(fromBigInt) as [Int64, Int64, Int64];
    if (parts & 1) [to.umin, , to.umax] = words(a, x, b);
    if (parts & 2) [to.smin, , to.smax] = words(signed(a), signed(x), signed(b));
    if (parts & 4) [to.u32min, , to.u32max] = sort(low(a), low(x), low(b)) as [number, number, number];
    if (parts & 8) [to.s32min, , to.s32max] = sort(low(a) | 0, low(x) | 0, low(b) | 0) as [number, number, number];
    if (parts & 16) to.bits = { value: fromBigInt(x & ~mask), mask: fromBigInt(mask) };
    const member = fromBigInt(x);
    if (parts === 32) return { s: constant(member), x };
    // A random bound beside the number: keep the number inside.
    to.umin = minU(to.umin, member);
    to.umax = maxU(to.umax, member);
    to.smin = minS(to.smin, member);
    to.smax = maxS(to.smax, member);
    for (const [least, greatest] of [
      ["u32min", "u32max"],
      ["s32min", "s32max"],
    ] as const) {
      const value = least === "s32min" ? low(x) | 0 : low(x);
      if (to[least] > value) to[least] = value;
      if (to[greatest] < value) to[greatest] = value;
    }
    return { s: to.settle(), x };
  });

const RUNS = Number(process.env["VM_BPF_PROPERTIES"] ?? 3000);
const shiftAmount = fc.oneof(
  withMember,
  fc.integer({ min: 0, max: 63 }).map((n) => ({ s: constant(fromNumber(n)), x: BigInt(n) })),
);

describe("ranges and bits together", () => {
  test("reconciling the parts keeps every member", () => {
    fc.assert(
      fc.property(withMember, ({ s, x }) => has(s, fromBigInt(x))),
      { numRuns: RUNS },
    );
  });

  const ops = Object.entries(AluOp).filter(([name]) => !["Neg", "End", "Mov"].includes(name));
  for (const [name, op] of ops)
    for (const bits of [64, 32] as const)
      test(`${name} of ${bits} bits: the result of members is a member of the result`, () => {
        const right = ["Lsh", "Rsh", "Arsh"].includes(name) ? shiftAmount : withMember;
        fc.assert(
          fc.property(withMember, right, (a, b) =>
            has(alu(op, a.s, b.s, bits), fromBigInt(aluConcrete(op, a.x, b.x, bits))),
          ),
          { numRuns: RUNS },
        );
      });

  test("narrow loads and moves keep the member's lower part, extended", () => {
    fc.assert(
      fc.property(withMember, fc.constantFrom(1, 2, 4), ({ s, x }, bytes) => {
        const bits = (bytes * 8) as 8 | 16 | 32;
        const sx = BigInt.asIntN(bits, x);
        return (
          has(zeroExtend(s, bytes), fromBigInt(BigInt.asUintN(bits, x))) &&
          has(zeroExtend32(s), fromBigInt(x & 0xffff_ffffn)) &&
          has(signExtend(s, bits, 64), fromBigInt(sx)) &&
          has(signExtend(s, bits, 32), fromBigInt(BigInt.asUintN(32, sx)))
        );
      }),
      { numRuns: RUNS },
    );
  });

  const jumps = Object.entries(JmpOp).filter(([name]) => !["Ja", "Call", "Exit", "Jcond"].includes(name));
  for (const [name, op] of jumps)
    for (const is32 of [false, true])
      test(`${name}${is32 ? "32" : ""}: the outcome that members have is foreseen, and keeps them`, () => {
        fc.assert(
          fc.property(withMember, withMember, (a, b) => {
            const outcome = jumpConcrete(op, a.x, b.x, is32);
            const foreseen = branchTaken(op, a.s, b.s, is32);
            if (foreseen !== undefined) return foreseen === outcome;
            const after = refine(op, outcome, a.s, b.s, is32);
            return after !== undefined && has(after.a, fromBigInt(a.x)) && has(after.b, fromBigInt(b.x));
          }),
          { numRuns: RUNS },
        );
      });

  test("a sum of small ranges is exact", () => {
    const sum = alu(AluOp.Add, signedRange(1, 3), signedRange(10, 20), 64);
    expect([sum.smin, sum.smax]).toEqual([fromNumber(11), fromNumber(23)]);
    expect(alu(AluOp.Mul, UNKNOWN, constant(ZERO), 64).bits).toEqual({ value: ZERO, mask: ZERO });
  });
});
