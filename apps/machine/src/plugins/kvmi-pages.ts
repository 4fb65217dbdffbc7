import { Licence } from "@vm/cpu";
import type { Mmu } from "@vm/mmu";

/** The licences of a page that its protocol access (1 read, 2 write, 4 execute) leaves out; the bits are the same. */
const ALL = Licence.Read | Licence.Write | Licence.Fetch;

/** Which pages the guest may do what with in one view, and the pages that are open for the one instruction that is being let through. */
export class RestrictedPages {
  readonly #mmu: Mmu;
  readonly #withheld = new Map<number, number>();
  readonly #open = new Set<number>();

  readonly #view: number;

  constructor(mmu: Mmu, view: number) {
    this.#mmu = mmu;
    this.#view = view;
  }

  /** Lets the guest do only `access` with page `gfn`. */
  set(gfn: number, access: number): void {
    const withheld = ALL & ~access;
    const before = this.#withheld.get(gfn) ?? 0;
    if (withheld === 0) this.#withheld.delete(gfn);
    else this.#withheld.set(gfn, withheld);
    this.#mmu.release(gfn, before & ~withheld, this.#view);
    if (!this.#open.has(gfn)) this.#mmu.withhold(gfn, withheld, this.#view);
  }

  /** Whether an access to `gfn` fails because of what was set here. */
  restricts(gfn: number, licence: number): boolean {
    return ((this.#withheld.get(gfn) ?? 0) & licence) !== 0;
  }

  /** Opens pages until {@link close}. */
  open(gfns: Iterable<number>): void {
    for (const gfn of gfns) {
      this.#open.add(gfn);
      this.#mmu.release(gfn, this.#withheld.get(gfn) ?? 0, this.#view);
    }
  }

  /** Withholds again what is open. */
  close(): void {
    for (const gfn of this.#open) this.#mmu.withhold(gfn, this.#withheld.get(gfn) ?? 0, this.#view);
    this.#open.clear();
  }

  /** Forgets every restriction. */
  reset(): void {
    this.#open.clear();
    for (const [gfn, withheld] of this.#withheld) this.#mmu.release(gfn, withheld, this.#view);
    this.#withheld.clear();
  }
}
