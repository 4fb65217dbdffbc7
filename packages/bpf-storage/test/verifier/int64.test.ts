import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Int64 } from "../../src/verifier/int64.js";
import * as i64 from "../../src/verifier/int64.js";

/** Every operation on halves gives what BigInt gives. */

const RUNS = Number(process.env["VM_BPF_PROPERTIES"] ?? 3000);
const u64 = (x: bigint): bigint => BigInt.asUintN(64, x);
const s64 = (x: bigint): bigint => BigInt.asIntN(64, x);

const EDGES = [0n, 1n, 2n, 0x7fffn, 0x8000n, 0xffffn, 0x1_0000n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn];
const half = fc.oneof(fc.constantFrom(...EDGES), fc.bigInt({ min: 0n, max: 0xffff_ffffn }));
/** Unsigned; halves are edges often, so that carries and signs meet. */
const word = fc.tuple(half, half).map(([high, low]) => (high << 32n) | low);
const amount = fc.integer({ min: 0, max: 63 });

const check = <T>(property: fc.IProperty<T>): void => fc.assert(property, { numRuns: RUNS });

const words: Readonly<Record<string, readonly [(a: Int64, b: Int64) => Int64, (a: bigint, b: bigint) => bigint]>> = {
  add: [i64.add, (a, b) => a + b],
  sub: [i64.sub, (a, b) => a - b],
  mul: [i64.mul, (a, b) => a * b],
  and: [i64.and, (a, b) => a & b],
  andNot: [i64.andNot, (a, b) => a & ~b],
  or: [i64.or, (a, b) => a | b],
  xor: [i64.xor, (a, b) => a ^ b],
  minU: [i64.minU, (a, b) => (a < b ? a : b)],
  maxU: [i64.maxU, (a, b) => (a > b ? a : b)],
  minS: [i64.minS, (a, b) => (s64(a) < s64(b) ? a : b)],
  maxS: [i64.maxS, (a, b) => (s64(a) > s64(b) ? a : b)],
};

const isS64 = (x: bigint): boolean => x === s64(x);
const isU64 = (x: bigint): boolean => x === u64(x);

const relations: Readonly<
  Record<string, readonly [(a: Int64, b: Int64) => boolean, (a: bigint, b: bigint) => boolean]>
> = {
  eq: [i64.eq, (a, b) => a === b],
  ltU: [i64.ltU, (a, b) => a < b],
  leU: [i64.leU, (a, b) => a <= b],
  ltS: [i64.ltS, (a, b) => s64(a) < s64(b)],
  leS: [i64.leS, (a, b) => s64(a) <= s64(b)],
  addOverflowsU: [i64.addOverflowsU, (a, b) => !isU64(a + b)],
  subOverflowsU: [i64.subOverflowsU, (a, b) => !isU64(a - b)],
  addOverflowsS: [i64.addOverflowsS, (a, b) => !isS64(s64(a) + s64(b))],
  subOverflowsS: [i64.subOverflowsS, (a, b) => !isS64(s64(a) - s64(b))],
};

const shifts: Readonly<Record<string, readonly [(a: Int64, by: number) => Int64, (a: bigint, by: bigint) => bigint]>> =
  {
    shl: [i64.shl, (a, by) => a << by],
    shrU: [i64.shrU, (a, by) => a >> by],
    shrS: [i64.shrS, (a, by) => s64(a) >> by],
  };

const predicates: Readonly<Record<string, readonly [(a: Int64) => boolean, (a: bigint) => boolean]>> = {
  isZero: [i64.isZero, (a) => a === 0n],
  isNegative: [i64.isNegative, (a) => s64(a) < 0n],
  fitsLow: [i64.fitsLow, (a) => a <= 0xffff_ffffn],
};

describe("words of two halves", () => {
  test("a word survives the way to halves and back, as unsigned and as signed number", () => {
    check(fc.property(word, (x) => i64.toBigIntU(i64.fromBigInt(x)) === x));
    check(fc.property(word, (x) => i64.toBigIntS(i64.fromBigInt(x)) === s64(x)));
    check(fc.property(word, (x) => i64.toBigIntU(i64.fromBigInt(s64(x))) === x));
  });

  test("halves are signed numbers of 32 bits", () => {
    check(
      fc.property(word, (x) => {
        const { lo, hi } = i64.fromBigInt(x);
        return lo === (lo | 0) && hi === (hi | 0) && BigInt(lo >>> 0) === (x & 0xffff_ffffn);
      }),
    );
  });

  for (const [name, [ours, truth]] of Object.entries(words))
    test(`${name} is that of BigInt modulo 2^64`, () => {
      check(
        fc.property(word, word, (a, b) => {
          expect(i64.toBigIntU(ours(i64.fromBigInt(a), i64.fromBigInt(b)))).toBe(u64(truth(a, b)));
        }),
      );
    });

  for (const [name, [ours, truth]] of Object.entries(relations))
    test(`${name} is that of BigInt`, () => {
      check(
        fc.property(word, fc.oneof(word, fc.constant(undefined)), (a, b = a) => {
          expect(ours(i64.fromBigInt(a), i64.fromBigInt(b))).toBe(truth(a, b));
        }),
      );
    });

  for (const [name, [ours, truth]] of Object.entries(shifts))
    test(`${name} by 0 to 63 is that of BigInt modulo 2^64`, () => {
      check(
        fc.property(word, amount, (a, by) => {
          expect(i64.toBigIntU(ours(i64.fromBigInt(a), by))).toBe(u64(truth(a, BigInt(by))));
        }),
      );
    });

  for (const [name, [ours, truth]] of Object.entries(predicates))
    test(`${name} is that of BigInt`, () => {
      check(
        fc.property(word, (a) => {
          expect(ours(i64.fromBigInt(a))).toBe(truth(a));
        }),
      );
    });

  test("not, low, withLow and extendS change the bits they name", () => {
    check(
      fc.property(word, half, fc.constantFrom(8, 16, 32), (a, b, bits) => {
        const x = i64.fromBigInt(a);
        expect(i64.toBigIntU(i64.not(x))).toBe(u64(~a));
        expect(i64.toBigIntU(i64.low(x))).toBe(a & 0xffff_ffffn);
        expect(i64.toBigIntU(i64.withLow(x, Number(b)))).toBe(((a >> 32n) << 32n) | b);
        expect(i64.toBigIntS(i64.extendS(x, bits))).toBe(BigInt.asIntN(bits, a));
      }),
    );
  });

  test("a half is extended by zeros or by its sign", () => {
    check(
      fc.property(half, (a) => {
        expect(i64.toBigIntU(i64.fromLow(Number(a)))).toBe(a);
        const signed = BigInt.asIntN(32, a);
        expect(i64.toBigIntS(i64.fromLowS(Number(signed)))).toBe(signed);
      }),
    );
  });

  test("numbers of up to 53 bits are exact both ways; beyond, the nearest number is given", () => {
    check(
      fc.property(fc.maxSafeInteger(), (x) => {
        expect(i64.toBigIntS(i64.fromNumber(x))).toBe(BigInt(x));
        expect(i64.toNumberS(i64.fromNumber(x))).toBe(x);
      }),
    );
    check(
      fc.property(word, (x) => {
        expect(i64.toNumberU(i64.fromBigInt(x))).toBe(Number(x));
        expect(i64.toNumberS(i64.fromBigInt(x))).toBe(Number(s64(x)));
      }),
    );
  });

  test("bitLength, lowMask and hex are those of the digits", () => {
    check(
      fc.property(word, (x) => {
        expect(i64.bitLength(i64.fromBigInt(x))).toBe(x === 0n ? 0 : x.toString(2).length);
        expect(i64.hex(i64.fromBigInt(x))).toBe(`0x${x.toString(16)}`);
      }),
    );
    for (let bits = 0; bits <= 64; bits++) expect(i64.toBigIntU(i64.lowMask(bits))).toBe((1n << BigInt(bits)) - 1n);
  });

  test("the constants are what their names say", () => {
    expect([i64.ZERO, i64.ONE, i64.ALL].map(i64.toBigIntU)).toEqual([0n, 1n, (1n << 64n) - 1n]);
    expect([i64.S_MIN, i64.S_MAX].map(i64.toBigIntS)).toEqual([-(1n << 63n), (1n << 63n) - 1n]);
  });
});
