import type { TdpRoot } from "./tdp/root.js";
import type { Gfn } from "./units.js";
import { Watches } from "./watches.js";

/** One second-level view: which licences are withheld in it, and which guest frames are other ones than they seem. */
export class View {
  readonly watches = new Watches();
  /** What maps guest memory as the view has it, from its first use on. */
  root: TdpRoot | null = null;
  /** Nobody can use it any more. */
  discarded = false;
  readonly #targets = new Map<number, number>();

  /** The guest frame that `gfn` really is in this view. */
  target(gfn: Gfn): number {
    return this.#targets.size === 0 ? gfn : (this.#targets.get(gfn) ?? gfn);
  }

  /** Makes `gfn` the frame `target`. Returns whether that changed anything. */
  remap(gfn: Gfn, target: number): boolean {
    if (this.target(gfn) === target) return false;
    if (gfn === target) this.#targets.delete(gfn);
    else this.#targets.set(gfn, target);
    return true;
  }

  /** At most so many frames are other than they seem or watched. */
  get changes(): number {
    return this.#targets.size + this.watches.size;
  }

  /** Whether `[start, end)` is what it seems and nobody watches any of it. */
  isPlain(start: number, end: number): boolean {
    // Whichever is shorter: there may be hundreds of thousands changed frames.
    if (this.changes < end - start) {
      for (const gfn of this.changed()) if (gfn >= start && gfn < end) return false;
      return true;
    }
    for (let gfn = start; gfn < end; gfn++) if (this.#targets.has(gfn) || this.watches.of(gfn) !== 0) return false;
    return true;
  }

  /** What seems to be at which frame but is one of `[start, end)`. */
  *seeming(start: number, end: number): Iterable<number> {
    for (const [gfn, target] of this.#targets) if (target >= start && target < end) yield gfn;
  }

  /** The frames that are other than they seem, or are watched. */
  *changed(): Iterable<number> {
    yield* this.#targets.keys();
    yield* this.watches.gfns();
  }
}

/** Views by number. View 0 is what a guest has without anyone's doing; the others come to be when something is asked of them. */
export class Views {
  readonly #views = new Map<number, View>();
  readonly #plain = new View();
  readonly #unopened = new View();

  /** The view of that number, for looking. */
  at(view: number): View {
    return view === 0 ? this.#plain : (this.#views.get(view) ?? this.#unopened);
  }

  /** The view of that number, for changing. */
  open(view: number): View {
    if (view === 0) return this.#plain;
    let found = this.#views.get(view);
    if (found === undefined) {
      found = new View();
      this.#views.set(view, found);
    }
    return found;
  }

  /** Every view that may be in use. */
  *all(): Iterable<View> {
    yield this.#plain;
    yield this.#unopened;
    yield* this.#views.values();
  }

  /** Forgets a view other than 0; returns what it was. */
  discard(view: number): View {
    const found = this.at(view);
    found.discarded = this.#views.delete(view);
    return found;
  }
}
