import type { Gfn } from "./units.js";

/**
 * Licences withheld page by page, whatever the page tables say: how introspection sees accesses.
 *
 * A bit mask per watched page and nothing for the others: no counting, so one owner should decide the bits of a page.
 */
export class Watches {
  readonly #bits = new Map<number, number>();

  /** How many pages are watched; 0 lets the fill path skip the lookup. */
  get size(): number {
    return this.#bits.size;
  }

  /** The pages that are watched. */
  gfns(): Iterable<number> {
    return this.#bits.keys();
  }

  /** The Licence bits withheld from `gfn`. */
  of(gfn: Gfn): number {
    return this.#bits.get(gfn) ?? 0;
  }

  /** Gives back the bits that stand at each page of `bits`. */
  releaseAll(bits: ReadonlyMap<number, number>): void {
    // One owner decides the bits of a page, so as many pages are the same pages: there may be hundreds of thousands.
    if (bits.size === this.#bits.size) this.#bits.clear();
    else for (const [gfn, each] of bits) this.set(gfn, this.of(gfn) & ~each);
  }

  /** Replaces the bits of `gfn`. Returns whether that changed anything. */
  set(gfn: Gfn, bits: number): boolean {
    if (bits === this.of(gfn)) return false;
    if (bits === 0) this.#bits.delete(gfn);
    else this.#bits.set(gfn, bits);
    return true;
  }
}
