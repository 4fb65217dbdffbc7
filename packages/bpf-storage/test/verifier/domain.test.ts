import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AluOp, JmpOp } from "../../src/isa/opcodes.js";
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

/** All tnums of `bits` bits, and the members of each. */
const smallTnums = (bits: number): { readonly t: Tnum; readonly members: readonly bigint[] }[] => {
  const out: { t: Tnum; members: bigint[] }[] = [];
  const all = 1 << bits;
  for (let mask = 0; mask < all; mask++)
    for (let value = 0; value < all; value++) {
      if ((value & mask) !== 0) continue;
      const t = { value: BigInt(value), mask: BigInt(mask) };
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
          for (const x of a.members) for (const y of b.members) if (!tnumHas(t, u64(concrete(x, y)))) missing++;
        }
      expect(missing).toBe(0);
    });

  test("shifts of members are members of shifts", () => {
    for (const { t, members } of small)
      for (let by = 0n; by < 4n; by++)
        for (const x of members) {
          expect(tnumHas(tnumLsh(t, by), x << by)).toBe(true);
          expect(tnumHas(tnumRsh(t, by), x >> by)).toBe(true);
          const high = { value: t.value << 60n, mask: t.mask << 60n };
          expect(tnumHas(tnumArsh(high, by, 64), u64(BigInt.asIntN(64, x << 60n) >> by))).toBe(true);
        }
  });

  test("what both say holds of common members", () => {
    for (const a of small)
      for (const b of small)
        for (const x of a.members) if (b.members.includes(x)) expect(tnumHas(tnumIntersect(a.t, b.t), x)).toBe(true);
  });

  test("a range is within its tnum", () => {
    for (let min = 0n; min < 16n; min++)
      for (let max = min; max < 16n; max++)
        for (let x = min; x <= max; x++) expect(tnumHas(tnumRange(min, max), x)).toBe(true);
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
    if (parts & 1) [to.umin, , to.umax] = sort(a, x, b) as [bigint, bigint, bigint];
    if (parts & 2) [to.smin, , to.smax] = sort(signed(a), signed(x), signed(b)) as [bigint, bigint, bigint];
    if (parts & 4) [to.u32min, , to.u32max] = sort(low(a), low(x), low(b)) as [number, number, number];
    if (parts & 8) [to.s32min, , to.s32max] = sort(low(a) | 0, low(x) | 0, low(b) | 0) as [number, number, number];
    // A random bound beside the number: keep the number inside.
    to.umin = to.umin > x ? x : to.umin;
    to.umax = to.umax < x ? x : to.umax;
    if (parts & 16) to.bits = { value: x & ~mask & ((1n << 64n) - 1n), mask };
    if (parts === 32) return { s: constant(x), x };
    for (const [least, greatest] of [
      ["umin", "umax"],
      ["smin", "smax"],
    ] as const) {
      const value = least === "smin" ? signed(x) : x;
      if (to[least] > value) to[least] = value;
      if (to[greatest] < value) to[greatest] = value;
    }
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
  fc.integer({ min: 0, max: 63 }).map((n) => ({ s: constant(BigInt(n)), x: BigInt(n) })),
);

describe("ranges and bits together", () => {
  test("reconciling the parts keeps every member", () => {
    fc.assert(
      fc.property(withMember, ({ s, x }) => has(s, x)),
      { numRuns: RUNS },
    );
  });

  const ops = Object.entries(AluOp).filter(([name]) => !["Neg", "End", "Mov"].includes(name));
  for (const [name, op] of ops)
    for (const bits of [64, 32] as const)
      test(`${name} of ${bits} bits: the result of members is a member of the result`, () => {
        const right = ["Lsh", "Rsh", "Arsh"].includes(name) ? shiftAmount : withMember;
        fc.assert(
          fc.property(withMember, right, (a, b) => has(alu(op, a.s, b.s, bits), aluConcrete(op, a.x, b.x, bits))),
          { numRuns: RUNS },
        );
      });

  test("narrow loads and moves keep the member's lower part, extended", () => {
    fc.assert(
      fc.property(withMember, fc.constantFrom(1, 2, 4), ({ s, x }, bytes) => {
        const bits = (bytes * 8) as 8 | 16 | 32;
        const sx = BigInt.asIntN(bits, x);
        return (
          has(zeroExtend(s, bytes), BigInt.asUintN(bits, x)) &&
          has(zeroExtend32(s), x & 0xffff_ffffn) &&
          has(signExtend(s, bits, 64), u64(sx)) &&
          has(signExtend(s, bits, 32), BigInt.asUintN(32, sx))
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
            return after !== undefined && has(after.a, a.x) && has(after.b, b.x);
          }),
          { numRuns: RUNS },
        );
      });

  test("a sum of small ranges is exact", () => {
    const sum = alu(AluOp.Add, signedRange(1n, 3n), signedRange(10n, 20n), 64);
    expect([sum.smin, sum.smax]).toEqual([11n, 23n]);
    expect(alu(AluOp.Mul, UNKNOWN, constant(0n), 64).bits).toEqual({ value: 0n, mask: 0n });
  });
});
