/** A source of 32-bit numbers. */
export interface Random {
  (): number;
  /** What the next numbers follow from; null if nothing does. */
  save(): number | null;
  /** Goes on as the source did that saved this. One of the host's does nothing: it is never to repeat. */
  restore(state: number | null): void;
}

/**
 * A generator of 32-bit numbers from a seed: splitmix32, by Sebastiano Vigna's method of mixing a Weyl sequence.
 * For reproducible guests, not for secrets.
 */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) | 0;
  };
  return Object.assign(next, {
    save: () => state,
    restore: (saved: number | null) => {
      if (saved !== null) state = saved | 0;
    },
  });
}

/** 32-bit numbers from the host's cryptographic generator. */
export function hostRandom(): Random {
  const pool = new Int32Array(1024);
  let at = pool.length;
  const next = (): number => {
    if (at === pool.length) {
      crypto.getRandomValues(pool);
      at = 0;
    }
    return pool[at++] as number;
  };
  return Object.assign(next, { save: () => null, restore: () => undefined });
}
