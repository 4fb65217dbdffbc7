/** Random numbers that are the same each time, and values that are likely to be at a boundary. */

/** A generator of numbers below 2^32 (xorshift of 32 bits). */
export function randomFrom(seed: number): () => number {
  let state = (seed * 2654435761 + 1) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

export const BOUNDARIES: readonly bigint[] = [
  0n,
  1n,
  2n,
  7n,
  8n,
  31n,
  32n,
  63n,
  64n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0xffffffff80000000n,
  0xffffffff00000000n,
  0xffffffffffff8000n,
  0xfffffffffffffffen,
  0xffffffffffffffffn,
];

/** A value that is likely to be at a boundary. */
export function value64(next: () => number): bigint {
  const pick = next() % 8;
  if (pick < 5) return BOUNDARIES[next() % BOUNDARIES.length] as bigint;
  const whole = (BigInt(next()) << 32n) | BigInt(next());
  return pick === 5 ? whole : whole >> BigInt(next() % 64);
}
