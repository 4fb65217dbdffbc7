import type { CodePage } from "../code/cache.js";
import type { Heads } from "../code/heads.js";

/** Slots of the table: regions that can be there at a time. Slot 0 stays empty. */
const SLOTS = 1 << 14;
/** Those that the table has at first: it is gone through from end to end for every processor that is made. */
const FIRST_SLOTS = 64;
/** Modules and bytes of WebAssembly that are kept. */
const MAX_MODULES = 512;
const MAX_BYTES = 24 << 20;

/** A region that can be entered. */
export interface Enterable {
  readonly number: number;
  readonly page: CodePage;
  readonly heads: readonly number[];
}

interface Live {
  readonly regions: readonly Enterable[];
  readonly slots: readonly number[];
  readonly bytes: number;
  /** Sum of what its heads counted when it was looked at last. */
  counted: number;
}

/**
 * The modules of regions that are in use, and the table that regions are called through. When there are too many, those go that were not
 * entered since they were looked at last, of the older half; if all were, the oldest.
 */
export class RegionModules {
  readonly table = new WebAssembly.Table({ element: "anyfunc", initial: FIRST_SLOTS });
  /** Slots that were given back; from the other on, none was ever used. */
  readonly #free: number[] = [];
  #unused = 1;
  #live: Live[] = [];
  #bytes = 0;
  /** Modules that were let go. */
  evicted = 0;

  get count(): number {
    return this.#live.length;
  }

  get #freeSlots(): number {
    return SLOTS - this.#unused + this.#free.length;
  }

  /** Bytes of WebAssembly of the modules in use. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Takes a module's functions into use, one a region. @returns their slots
   * @param bytes of its WebAssembly
   */
  add(heads: Heads, regions: readonly Enterable[], functions: readonly unknown[], bytes: number): readonly number[] {
    this.#makeRoom(heads, regions.length, bytes);
    const slots = functions.map((f) => {
      const slot = this.#free.pop() ?? this.#take();
      this.table.set(slot, f as () => number);
      return slot;
    });
    this.#live.push({ regions, slots, bytes, counted: -1 });
    this.#bytes += bytes;
    return slots;
  }

  #take(): number {
    const { length } = this.table;
    if (this.#unused === length) this.table.grow(length);
    return this.#unused++;
  }

  #makeRoom(heads: Heads, slots: number, bytes: number): void {
    const full = (): boolean =>
      this.#live.length >= MAX_MODULES || this.#bytes + bytes > MAX_BYTES || this.#freeSlots < slots;
    if (!full()) return;
    // Of which nothing can be entered any more.
    this.#let(heads, ({ regions }) => regions.every(({ page }) => !page.alive));
    // More than is needed, so that it is not done for every module.
    if (full()) {
      const old = this.#live.slice(0, Math.ceil(this.#live.length / 2));
      const idle = old.filter((live) => !this.#looked(heads, live));
      const go = new Set(idle.length >= old.length / 4 ? idle : old.slice(0, old.length / 2));
      this.#let(heads, (live) => go.has(live));
      // Who stays is among the young again.
      const stay = new Set(old);
      this.#live = [...this.#live.filter((live) => !stay.has(live)), ...this.#live.filter((live) => stay.has(live))];
    }
  }

  /** Whether a module was entered since this was asked last. */
  #looked(heads: Heads, live: Live): boolean {
    let sum = 0;
    for (const { number, heads: entries } of live.regions)
      for (const head of entries) sum += heads.entriesLeft(head, number);
    const entered = sum !== live.counted;
    live.counted = sum;
    return entered;
  }

  #let(heads: Heads, go: (live: Live) => boolean): void {
    this.#live = this.#live.filter((live) => {
      if (!go(live)) return true;
      for (const { number, heads: entries } of live.regions) for (const head of entries) heads.forget(head, number);
      this.#release(live);
      return false;
    });
  }

  #release({ slots, bytes }: Live): void {
    for (const slot of slots) {
      this.table.set(slot, null);
      this.#free.push(slot);
    }
    this.#bytes -= bytes;
    this.evicted++;
  }

  /** Every record is void: no region is entered any more. */
  reset(): void {
    for (const live of this.#live) this.#release(live);
    this.#live = [];
  }
}
