import { SplitMix } from "./replay/splitmix.js";

/** Random numbers that depend on nothing but the seed. */
export class Random {
  readonly #mix: SplitMix;

  /** @param seed a whole number */
  constructor(seed: number) {
    this.#mix = new SplitMix(BigInt.asUintN(64, BigInt(seed)).toString(16));
  }

  /** A whole number from 0 to below `limit`, at most 2^32. */
  below(limit: number): number {
    return Math.floor((this.#mix.next().hi / 2 ** 32) * limit);
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new RangeError("nothing to pick from");
    return from[this.below(from.length)] as T;
  }

  /** 64 random bits. */
  word(): bigint {
    const { lo, hi } = this.#mix.next();
    return (BigInt(hi) << 32n) | BigInt(lo);
  }
}
