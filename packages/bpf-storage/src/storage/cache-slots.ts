import { CACHE_SLOTS } from "./layout.js";

/** How many maps of one kind have each slot of their owners' caches (`struct bpf_local_storage_cache`). */
export class CacheSlots {
  readonly #users = new Uint32Array(CACHE_SLOTS);

  /** The first of the slots that the fewest maps have. */
  take(): number {
    const slot = this.#users.indexOf(Math.min(...this.#users));
    (this.#users[slot] as number)++;
    return slot;
  }

  release(slot: number): void {
    (this.#users[slot] as number)--;
  }
}
