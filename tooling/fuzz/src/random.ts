/** Random numbers that depend on nothing but the seed: splitmix32. */
export class Random {
  #state: number;

  /** @param seed a whole number; 32 bits of it count */
  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** 32 bits, unsigned. */
  word(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  /** A whole number from 0 to below `limit`, at most 2^32. */
  below(limit: number): number {
    return Math.floor((this.word() / 2 ** 32) * limit);
  }

  /** True `percent` times in a hundred. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  bytes(count: number): number[] {
    const bytes: number[] = [];
    for (let k = 0; k < count; k++) bytes.push(this.word() & 0xff);
    return bytes;
  }

  /** Fills whole words. */
  fill(words: Int32Array): void {
    for (let k = 0; k < words.length; k++) words[k] = this.word();
  }
}
