// Elementary functions to about 190 significant bits, in integers: more than enough to round to 64 bits once.

/** `m * 2^e`, exact or trimmed to `KEPT` bits. */
export interface Real {
  readonly m: bigint;
  readonly e: number;
}

/** Fraction bits of fixed-point numbers (`Fixed`). */
const P = 192;
const P_BITS = BigInt(P);
const ONE = 1n << P_BITS;
/** Significant bits that products and quotients keep. */
const KEPT = 192;

/** A number scaled by 2^P. */
type Fixed = bigint;

/** Bits of |m| without leading zeros. */
export function bitLength(m: bigint): number {
  const digits = (m < 0n ? -m : m).toString(16);
  return digits.length * 4 - (Math.clz32(Number.parseInt(digits.charAt(0), 16)) - 28);
}

const shift = (m: bigint, by: number): bigint => (by >= 0 ? m << BigInt(by) : m >> BigInt(-by));

function trim({ m, e }: Real): Real {
  const excess = bitLength(m) - KEPT;
  return excess > 0 ? { m: m >> BigInt(excess), e: e + excess } : { m, e };
}

/** `a * 2^P`, cut off; a is below 2^32 or so. */
const toFixed = ({ m, e }: Real): Fixed => shift(m, e + P);
const fromFixed = (m: Fixed): Real => ({ m, e: -P });

export const multiply = (a: Real, b: Real): Real => trim({ m: a.m * b.m, e: a.e + b.e });
export const negate = ({ m, e }: Real): Real => ({ m: -m, e });

/** a / b for b other than 0. */
export function divide(a: Real, b: Real): Real {
  const extra = Math.max(0, KEPT + bitLength(b.m) - bitLength(a.m));
  return { m: (a.m << BigInt(extra)) / b.m, e: a.e - b.e - extra };
}

/** a + b; the difference of the exponents is bridged exactly unless one does not matter. */
export function add(a: Real, b: Real): Real {
  const distance = a.e - b.e;
  if (distance > 2 * KEPT + 128) return a;
  if (distance < -2 * KEPT - 128) return b;
  return distance >= 0
    ? { m: (a.m << BigInt(distance)) + b.m, e: b.e }
    : { m: a.m + (b.m << BigInt(-distance)), e: a.e };
}

/** Sum of `term(k, previous)` from `first` on until the terms vanish. */
function series(first: Fixed, term: (k: bigint, previous: Fixed) => Fixed, weight: (k: bigint) => bigint): Fixed {
  let sum = first;
  let power = first;
  for (let k = 1n; power !== 0n && power !== -1n; k++) {
    power = term(k, power);
    sum += power / weight(k);
  }
  return sum;
}

const times = (a: Fixed, b: Fixed): Fixed => (a * b) >> P_BITS;

/** sin(x) / x from x². */
const sinc = (x2: Fixed): Fixed =>
  series(
    ONE,
    (k, p) => -times(p, x2) / (2n * k * (2n * k + 1n)),
    () => 1n,
  );
/** cos(x) from x². */
const cosine = (x2: Fixed): Fixed =>
  series(
    ONE,
    (k, p) => -times(p, x2) / (2n * k * (2n * k - 1n)),
    () => 1n,
  );
/** (e^x - 1) / x. */
const expm1c = (x: Fixed): Fixed =>
  series(
    ONE,
    (k, p) => times(p, x) / (k + 1n),
    () => 1n,
  );
/** artanh(x) / x from x². */
const artanhc = (x2: Fixed): Fixed =>
  series(
    ONE,
    (_, p) => times(p, x2),
    (k) => 2n * k + 1n,
  );
/** arctan(x) / x from x². */
const arctanc = (x2: Fixed): Fixed =>
  series(
    ONE,
    (_, p) => -times(p, x2),
    (k) => 2n * k + 1n,
  );

function squareRoot(x: Fixed): Fixed {
  const scaled = x << P_BITS;
  let root = 1n << BigInt((bitLength(scaled) + 1) >> 1);
  for (;;) {
    const next = (root + scaled / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/** x * f(x²). */
function odd(x: Real, f: (x2: Fixed) => Fixed): Real {
  const fixed = toFixed(x);
  return multiply(x, fromFixed(f(times(fixed, fixed))));
}

const ratio = (numerator: bigint, denominator: bigint): Fixed => (numerator << P_BITS) / denominator;
const arctanOfInverse = (n: bigint): Fixed => arctanc(ratio(1n, n * n)) / n;
/** Machin's formula. */
export const PI: Real = fromFixed(4n * (4n * arctanOfInverse(5n) - arctanOfInverse(239n)));
/** ln 2 = 2 artanh(1/3). */
const LN2: Real = fromFixed((2n * artanhc(ratio(1n, 9n))) / 3n);

/** pi as the processor knows it, to 66 bits, times 2^66. SDM Vol. 1, 8.3.8. */
const PI_66 = 0xc90fdaa22168c234cn;
/** Exponent of the numbers an argument is reduced in: pi/2 = HALF_PI * 2^REDUCED. */
const REDUCED = -131;
const HALF_PI = PI_66 << 64n;

/** x = quadrant * pi/2 + rest with |rest| <= pi/4, for x >= 0, with the processor's pi. */
function reduce(x: Real): { readonly quadrant: number; readonly rest: Real } {
  if (bitLength(x.m) + x.e <= -1) return { quadrant: 0, rest: x };
  const scaled = shift(x.m, x.e - REDUCED);
  const quotient = (scaled + (HALF_PI >> 1n)) / HALF_PI;
  return { quadrant: Number(quotient & 3n), rest: { m: scaled - quotient * HALF_PI, e: REDUCED } };
}

/** Sine and cosine of x, 0 <= x < 2^64 (x has at most 64 significant bits). */
export function sineAndCosine(x: Real): { readonly sine: Real; readonly cosine: Real } {
  const { quadrant, rest } = reduce(x);
  const s = odd(rest, sinc);
  const fixed = toFixed(rest);
  const c = fromFixed(cosine(times(fixed, fixed)));
  switch (quadrant) {
    case 0:
      return { sine: s, cosine: c };
    case 1:
      return { sine: c, cosine: negate(s) };
    case 2:
      return { sine: negate(s), cosine: negate(c) };
    default:
      return { sine: negate(c), cosine: s };
  }
}

/** Arc tangent of x, 0 < x <= 1. Halved twice, x = tan(t) being tan(t/2) = x / (1 + sqrt(1 + x²)), the series converges quickly. */
function arctan(x: Real): Real {
  let t = x;
  for (let k = 0; k < 2; k++) {
    const fixed = toFixed(t);
    t = divide(t, fromFixed(ONE + squareRoot(ONE + times(fixed, fixed))));
  }
  const { m, e } = odd(t, arctanc);
  return { m, e: e + 2 };
}

/** Angle of the point (x, y), both not 0: -pi to pi. */
export function angle(y: Real, x: Real): Real {
  const absY = y.m < 0n ? negate(y) : y;
  const absX = x.m < 0n ? negate(x) : x;
  const { m } = add(absY, negate(absX));
  // Beyond the diagonal: pi/2 less the angle from the other axis.
  let t = m > 0n ? add({ m: PI.m, e: PI.e - 1 }, negate(arctan(divide(absX, absY)))) : arctan(divide(absY, absX));
  if (x.m < 0n) t = add(PI, negate(t));
  return y.m < 0n ? negate(t) : t;
}

/** x to the nearest 80 bits. */
export function roundTo80({ m, e }: Real): Real {
  const excess = bitLength(m) - 80;
  return excess > 0 ? { m: ((m >> BigInt(excess - 1)) + 1n) >> 1n, e: e + excess } : { m, e };
}

/** 2^x - 1 for |x| <= 1. */
export function exp2m1(x: Real): Real {
  const t = multiply(x, LN2);
  return multiply(t, fromFixed(expm1c(toFixed(t))));
}

/** log2((1 + z) / (1 - z)) for |z| < 0.2. */
function log2OfRatio(z: Real): Real {
  const { m, e } = odd(z, artanhc);
  return divide({ m, e: e + 1 }, LN2);
}

/** log2(x) for x > 0. */
export function log2(x: Real): Real {
  let bits = bitLength(x.m);
  // The significand in [0.75, 1.5): nothing cancels when it is added to the exponent.
  if (x.m >> BigInt(Math.max(bits - 2, 0)) === 2n || bits === 1) bits--;
  const significand: Real = { m: x.m, e: -bits };
  const one: Real = { m: 1n, e: 0 };
  const difference = add(significand, negate(one));
  const exponent: Real = { m: BigInt(bits + x.e), e: 0 };
  // Of powers of two below one, processors find a logarithm that is a little too small in magnitude: directed rounding shows it.
  if (difference.m === 0n) return exponent.m < 0n ? { m: (exponent.m << 100n) + 1n, e: -100 } : exponent;
  const fraction = log2OfRatio(divide(difference, add(significand, one)));
  return exponent.m === 0n ? fraction : add(exponent, fraction);
}

/** log2(1 + x) for x > -1, x other than 0. */
export function log2p1(x: Real): Real {
  // Below 1/4 the sum is not formed: it would lose what is small.
  if (bitLength(x.m) + x.e <= -2) return log2OfRatio(divide(x, add(x, { m: 2n, e: 0 })));
  return log2(add(x, { m: 1n, e: 0 }));
}
