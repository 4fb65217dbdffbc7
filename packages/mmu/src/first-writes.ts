/** Who wants to know of a page of a memslot before it is written for the first time. */
export interface FirstWrites {
  /** Whether `page` may be written without telling: that was done. */
  has(page: number): boolean;
  /** `page` is about to be written. */
  mark(page: number): void;
}

/** Several of them as one. */
export class AllFirstWrites implements FirstWrites {
  readonly #all: readonly FirstWrites[];

  constructor(all: readonly FirstWrites[]) {
    this.#all = all;
  }

  has(page: number): boolean {
    return this.#all.every((one) => one.has(page));
  }

  mark(page: number): void {
    for (const one of this.#all) one.mark(page);
  }
}
