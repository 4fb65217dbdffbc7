import type { Random } from "../tools/random.js";

/** Random x87 states and operands, with a liking for the places where arithmetic goes wrong. */

const BIAS = 16383;
const INTEGER = 1n << 63n;
const SIGN = 0x8000;

/** An f80: 64 bits of significand, 16 of sign and exponent. */
export interface F80 {
  readonly significand: bigint;
  readonly top16: number;
}

/** Bits below the precision of f64, f32 and of an integer of 32 bits. */
const TAILS = [11n, 40n, 32n, 63n] as const;

/** With the integer bit: anything, few bits, many ones, halfway between two shorter numbers or next to it. */
function significand(random: Random): bigint {
  const word = random.word() | INTEGER;
  const tail = random.pick(TAILS);
  const head = (word >> tail) << tail;
  switch (random.below(6)) {
    case 0:
      return head;
    case 1:
      return head | (1n << (tail - 1n));
    case 2:
      return (head | (1n << (tail - 1n))) + BigInt(random.below(3) - 1);
    case 3:
      return BigInt.asUintN(64, -1n << BigInt(random.below(64)));
    case 4:
      return INTEGER + BigInt(random.below(3));
    default:
      return word;
  }
}

/** Biased: near that of one, near the limits of some format, or any. */
function exponent(random: Random): number {
  switch (random.below(8)) {
    case 0:
      return 1 + random.below(0x7ffe);
    case 1:
      return random.pick([1, 2, 63, 64, 65, 0x7ffd, 0x7ffe]);
    case 2:
      return BIAS + random.pick([-1023, -1022, -127, -126, 127, 128, 1023, 1024]);
    case 3:
      return BIAS + random.pick([14, 15, 16, 30, 31, 32, 62, 63, 64]);
    default:
      return BIAS - 4 + random.below(10);
  }
}

const sign = (random: Random): number => random.below(2) * SIGN;

/** Zero or normal. */
export function ordinary(random: Random): F80 {
  if (random.below(12) === 0) return { significand: 0n, top16: sign(random) };
  return { significand: significand(random), top16: sign(random) | exponent(random) };
}

/** Infinities, NaNs, denormals and encodings that nothing produces. */
function special(random: Random): F80 {
  const top16 = sign(random) | random.pick([0, 0, 0x7fff, 0x7fff, exponent(random)]);
  const bits = random.pick([INTEGER, 3n << 62n, 0n, 1n, random.word(), random.word() | INTEGER]);
  return { significand: bits, top16 };
}

export const number = (random: Random): F80 => (random.below(12) === 0 ? special(random) : ordinary(random));

/** A number at a distance from another at which an addition has something to do. */
export function beside(random: Random, { significand: bits, top16 }: F80): F80 {
  const moved = (top16 & 0x7fff) + random.pick([0, 0, 0, 1, -1, 2, 63, -63, 64, -64, 65, 66, 127, 128, 200]);
  if (moved < 1 || moved > 0x7ffe) return number(random);
  const near = BigInt.asUintN(64, bits + BigInt(random.below(5) - 2)) | INTEGER;
  return { significand: random.below(2) ? near : significand(random), top16: sign(random) | moved };
}

/** A real in 32 or 64 bits, mostly a normal one, or an integer of any width; little-endian. */
export function memoryOperand(random: Random, view: DataView, at: number): void {
  const word = random.word();
  const fraction = (word >> random.pick([0n, 11n, 29n])) << random.pick([0n, 11n, 29n]);
  view.setBigUint64(at + 8, word, true);
  switch (random.below(6)) {
    case 0:
      view.setBigUint64(at, word, true);
      break;
    case 1:
      view.setBigInt64(at, BigInt.asIntN(64, word) >> BigInt(random.below(64)), true);
      break;
    case 2: {
      const { significand: bits, top16 } = number(random);
      view.setBigUint64(at, bits, true);
      view.setUint16(at + 8, top16, true);
      break;
    }
    case 3:
      view.setBigUint64(at, BigInt(sign(random)) << 48n, true);
      break;
    case 4:
      view.setUint32(at, (sign(random) << 16) | ((124 + random.below(8)) << 23) | Number(fraction & 0x7fffffn), true);
      break;
    default: {
      const upper = BigInt((sign(random) >> 4) | random.pick([1019, 1020, 1022, 1023, 1024, 1026, 1100, 1, 2046]));
      view.setBigUint64(at, (upper << 52n) | (fraction & 0xfffffffffffffn), true);
    }
  }
}

/** Between one and two, and of either sign: any operation has an ordinary result. */
export const moderate = (random: Random): F80 => ({ significand: significand(random), top16: BIAS });

/** Significands at the ends of their range, and at and beside ties of shorter formats. */
export const EDGES: readonly bigint[] = [
  ...[0n, 1n, 1n << 62n, -1n, -2n],
  ...[11n, 40n].flatMap((tail) => [1n << (tail - 1n), 3n << (tail - 1n), -1n << tail, -1n << (tail - 1n)]),
].map((bits) => BigInt.asUintN(64, bits) | INTEGER);

/** Differences of exponents at which an addition or a remainder changes its course. */
export const DISTANCES: readonly number[] = [0, 1, 2, 33, 62, 63, 64, 65, 66, 95, 127, 128, 129].flatMap((d) => [
  d,
  -d,
]);

/** Unbiased exponents at which a number just has a fraction, or just leaves a format. */
export const LIMITS: readonly number[] = [0, 14, 22, 23, 30, 31, 52, 61, 62, 63, 64, 127, 128, 1023, 1024].flatMap(
  (e) => [e, -e - 1, 1 - e],
);

/** The number of this significand and unbiased exponent. */
export const numberOf = (bits: bigint, unbiased: number, negative: boolean): F80 => ({
  significand: bits,
  top16: (negative ? SIGN : 0) | (BIAS + unbiased),
});
