/**
 * A generator of 32-bit numbers from a seed: splitmix32, by Sebastiano Vigna's method of mixing a Weyl sequence.
 * For reproducible guests, not for secrets.
 */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) | 0;
  };
}

/** 32-bit numbers from the host's cryptographic generator. */
export function hostRandom(): () => number {
  const pool = new Int32Array(1024);
  let next = pool.length;
  return () => {
    if (next === pool.length) {
      crypto.getRandomValues(pool);
      next = 0;
    }
    return pool[next++] as number;
  };
}
