import type { DescriptorChain } from "./descriptor-chain.js";

/** Buffers that are followed in a turn, a request of none counting as one: 2 ms at most. */
const BUFFERS = 1024;

/**
 * What a device may do in one turn. It counts work, not time, so that the same input is always cut at the same places. A request that
 * has begun when the budget ends is followed to its end, so a turn may take one request more.
 */
export class WorkBudget {
  #buffers = BUFFERS;
  #bytes: number;

  /** @param bytes how many may be moved */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Whether nothing is left. */
  get spent(): boolean {
    return this.#buffers <= 0 || this.#bytes <= 0;
  }

  /** `chain` was followed, and `bytes` of it were moved. */
  spend(chain: DescriptorChain, bytes: number): void {
    this.#buffers -= Math.max(1, chain.buffers);
    this.#bytes -= bytes;
  }
}
