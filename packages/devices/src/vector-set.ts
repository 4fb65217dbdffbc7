import { read } from "./state.js";

/** Eight words. Vectors 0 to 15 are the exceptions', which no APIC takes. */
export const readVectors = read.tuple(read.bits(0xffff_0000), ...Array.from({ length: 7 }, () => read.u32));

/** A set of interrupt vectors 0-255: the shape of the local APIC's IRR, ISR and TMR (SDM 3A 11.8.4, eight 32-bit words). */
export class VectorSet {
  readonly #words = new Uint32Array(8);

  add(vector: number): void {
    this.#words[vector >> 5] = this.word(vector >> 5) | (1 << (vector & 31));
  }

  delete(vector: number): void {
    this.#words[vector >> 5] = this.word(vector >> 5) & ~(1 << (vector & 31));
  }

  has(vector: number): boolean {
    return ((this.word(vector >> 5) >>> (vector & 31)) & 1) === 1;
  }

  /** The highest vector in the set, -1 if it is empty. */
  highest(): number {
    for (let i = 7; i >= 0; i--) {
      const word = this.word(i);
      if (word !== 0) return i * 32 + 31 - Math.clz32(word);
    }
    return -1;
  }

  /** Word `index` (0-7) as the register shows it, unsigned. */
  word(index: number): number {
    return this.#words[index] ?? 0;
  }

  clear(): void {
    this.#words.fill(0);
  }

  save(): number[] {
    return [...this.#words];
  }

  /** @throws {StateError} */
  restore(words: readonly number[]): void {
    this.#words.set(readVectors(words));
  }
}
