import { Licence } from "@vm/cpu";
import type { Gfn, Mmu } from "@vm/mmu";
import type { Quota } from "./quota.js";

/** The licences of a page that its protocol access (1 read, 2 write, 4 execute) leaves out; the bits are the same. */
const ALL = Licence.Read | Licence.Write | Licence.Fetch;

/** Which pages the guest may do what with in one view, and the pages that are open for the one instruction that is being let through. */
export class RestrictedPages {
  readonly #mmu: Mmu;
  readonly #withheld = new Map<number, number>();
  readonly #open = new Set<number>();
  readonly #view: number;
  readonly #quota: Quota;

  /** @param quota how many pages there may be, in this view and others */
  constructor(mmu: Mmu, view: number, quota: Quota) {
    this.#mmu = mmu;
    this.#view = view;
    this.#quota = quota;
  }

  /** Lets the guest do only `access` with page `gfn`. False: too many pages are restricted. */
  set(gfn: Gfn, access: number): boolean {
    const withheld = ALL & ~access;
    const before = this.#withheld.get(gfn) ?? 0;
    if (withheld === before) return true;
    if (before === 0 && !this.#quota.take()) return false;
    if (withheld === 0) {
      this.#withheld.delete(gfn);
      this.#quota.give();
    } else this.#withheld.set(gfn, withheld);
    this.#mmu.release(gfn, before & ~withheld, this.#view);
    if (!this.#open.has(gfn)) this.#mmu.withhold(gfn, withheld, this.#view);
    return true;
  }

  /** Whether an access to `gfn` fails because of what was set here. */
  restricts(gfn: Gfn, licence: number): boolean {
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
    this.close();
    this.#mmu.releaseAll(this.#withheld, this.#view);
    this.forget();
  }

  /** As {@link reset}, for a view that is gone. */
  forget(): void {
    this.#open.clear();
    this.#quota.give(this.#withheld.size);
    this.#withheld.clear();
  }
}
