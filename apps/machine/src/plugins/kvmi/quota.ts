/** How many things of a kind a tool may have, over all vCPUs and views. */
export class Quota {
  #left: number;

  constructor(most: number) {
    this.#left = most;
  }

  /** Takes one. False: there is none left. */
  take(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }

  give(count = 1): void {
    this.#left += count;
  }
}
