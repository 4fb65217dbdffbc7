/** Behind how many instructions of all processors together the guest is to stand still, and what is done then. */
export interface Stop {
  readonly at: number;
  readonly reached: () => Promise<void>;
}

/** Where a guest is to stand still. */
export class Stops {
  /** Ascending. */
  readonly #all: Stop[] = [];

  /** The next one; Infinity if there is none. */
  get at(): number {
    return this.#all[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  add(stop: Stop): void {
    this.#all.push(stop);
    this.#all.sort((a, b) => a.at - b.at);
  }

  /** Does what is to be done at the next one. Rejects with what that throws. */
  async reach(): Promise<void> {
    await this.#all.shift()?.reached();
  }
}
