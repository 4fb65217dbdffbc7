import { Licence, Status } from "./access.js";
import type { Memslots } from "./memslots.js";
import type { View, Views } from "./views.js";

/**
 * The second level of translation: guest frame -> frame of the wasm memory, and what it allows. It is asked once per TLB fill, after the guest's
 * own page tables have allowed the access.
 *
 * {@link MemslotLevel} is the identity; a TDP MMU over guest_memfd implements the same port.
 */
export interface SecondLevel {
  /** After `resolve` returned Ok: the frame, as {@link Pfn}. */
  readonly pfn: number;
  /** After `resolve` returned Ok: the guest frame number the frame has by itself, whatever it seems to be in the view in use. */
  readonly gfn: number;
  /** After `resolve` returned Ok: what this level lets through unseen. Contains at least the bit that was asked for. */
  readonly licence: number;
  /** From now on translates as view number `view` has it. */
  use(view: number): void;
  /**
   * Resolves one page for one access.
   * @param gfn guest frame number
   * @param want the one {@link Licence} bit of the access
   * @returns Ok, Mmio or Exit; never Fault
   */
  resolve(gfn: number, want: number): Status;
  /** The frame of a guest page table for reading: a {@link Pfn}, 0 if it was never touched (all zero), -1 if nothing is there (all ones). */
  table(gfn: number): number;
  /** The walker is about to set A or D in a table that {@link table} found. False: leave it alone (read-only memory). */
  mayMark(gfn: number): boolean;
}

/**
 * Memslots straight onto frames.
 *
 * A write licence is withheld while a logged page is clean and from read-only slots; every licence that is watched is withheld. The walker's own
 * reads and A/D updates of page tables are not watched, as KVM introspection lets them pass; they do count for the dirty log. A/D bits in a
 * read-only slot stay as they are (linux, arch/x86/kvm/mmu/paging_tmpl.h, update_accessed_dirty_bits).
 */
export class MemslotLevel implements SecondLevel {
  pfn = 0;
  gfn = 0;
  licence = 0;
  #view: View;

  constructor(
    readonly slots: Memslots,
    readonly views: Views,
  ) {
    this.#view = views.at(0);
  }

  use(view: number): void {
    this.#view = this.views.at(view);
  }

  resolve(seeming: number, want: number): Status {
    const { watches } = this.#view;
    const gfn = this.#view.target(seeming);
    const slot = this.slots.find(gfn);
    if (slot === null) return Status.Mmio;
    let licence: number = Licence.All;
    if (slot.readonly) {
      if (want === Licence.Write) return Status.Mmio;
      licence &= ~Licence.Write;
    }
    if (watches.size !== 0) {
      const withheld = watches.of(seeming);
      if ((withheld & want) !== 0) return Status.Exit;
      licence &= ~withheld;
    }
    if (slot.dirty !== null) {
      if (want === Licence.Write) slot.dirty.mark(gfn - slot.gfn);
      else if (!slot.dirty.has(gfn - slot.gfn)) licence &= ~Licence.Write;
    }
    this.pfn = this.slots.touch(slot, gfn);
    this.gfn = gfn;
    this.licence = licence;
    return Status.Ok;
  }

  table(seeming: number): number {
    const gfn = this.#view.target(seeming);
    const slot = this.slots.find(gfn);
    // As an i32, so that the walker stays in integer registers.
    return slot === null ? -1 : (slot.pfns[gfn - slot.gfn] as number) | 0;
  }

  mayMark(seeming: number): boolean {
    const gfn = this.#view.target(seeming);
    const slot = this.slots.find(gfn);
    if (slot === null || slot.readonly) return false;
    slot.dirty?.mark(gfn - slot.gfn);
    return true;
  }
}
