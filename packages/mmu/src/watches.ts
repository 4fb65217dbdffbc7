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
  of(gfn: number): number {
    return this.#bits.get(gfn) ?? 0;
  }

  /** Replaces the bits of `gfn`. Returns whether that changed anything. */
  set(gfn: number, bits: number): boolean {
    if (bits === this.of(gfn)) return false;
    if (bits === 0) this.#bits.delete(gfn);
    else this.#bits.set(gfn, bits);
    return true;
  }
}
