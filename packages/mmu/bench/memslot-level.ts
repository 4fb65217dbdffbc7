import { Access, Licence, type PagingControls, Status } from "../src/access.js";
import type { FrameArena } from "../src/arena.js";
import { Cr0, Page } from "../src/bits.js";
import { Memslots } from "../src/memslots.js";
import { Views } from "../src/views.js";
import { PageWalker } from "../src/walk.js";

/** The baseline: translation straight from memslots to frames, without page tables in between. */
export class MemslotMmu {
  readonly translation = { host: 0, gfn: 0, licence: 0, global: false, errorCode: 0 };
  readonly slots: Memslots;
  readonly views = new Views();
  readonly #walker: PageWalker;
  pfn = 0;
  gfn = 0;
  licence = 0;
  readonly flags = 0;
  refused = Status.Ok;
  #view = this.views.at(0);

  constructor(arena: FrameArena) {
    this.slots = new Memslots(arena, 2 ** 28, () => {});
    this.#walker = new PageWalker(arena.u32, this, 40);
  }

  translate(controls: PagingControls, lo: number, hi: number, access: number): number {
    const t = this.translation;
    if ((access & Access.Implicit) !== 0) access &= ~Access.User;
    this.use(controls.view ?? 0);
    let gfn = lo >>> 12;
    let licence: number = Licence.All;
    let global = false;
    if ((controls.cr0 & Cr0.Pg) !== 0) {
      const walker = this.#walker;
      if (!walker.walk(controls, lo, hi, access)) {
        t.errorCode = walker.errorCode;
        return Status.Fault;
      }
      gfn = walker.gfn;
      licence = walker.licence;
      global = walker.global;
    }
    t.gfn = gfn;
    const want =
      (access & Access.Write) !== 0 ? Licence.Write : (access & Access.Fetch) !== 0 ? Licence.Fetch : Licence.Read;
    const status = this.resolve(gfn, want);
    if (status === Status.Ok) {
      t.host = this.pfn * Page.Size;
      t.gfn = this.gfn;
      t.licence = licence & this.licence;
      t.global = global;
    } else if (status === Status.Exit) {
      t.errorCode = want;
    }
    return status;
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
