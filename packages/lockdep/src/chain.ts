import type { Stack } from "./stack.js";

/**
 * The chain cache (kernel/locking/lockdep.c, lookup_chain_cache_add), exact instead of hashed: a tree whose paths are the sequences of
 * (class, mode, trylock, nested) that tasks have held. Who arrives at a chain that is there has nothing left to check.
 */
export class Chain {
  readonly #next = new Map<number, Chain>();

  constructor(
    /** Whether dependencies lead from the chain below to the last lock. */
    readonly linked: boolean,
    /** Where the chain was first reached. */
    readonly stack: Stack | undefined,
  ) {}

  next(key: number): Chain | undefined {
    return this.#next.get(key);
  }

  grow(key: number, linked: boolean, stack: Stack | undefined): Chain {
    const chain = new Chain(linked, stack);
    this.#next.set(key, chain);
    return chain;
  }
}

/** Number of an acquisition below its chain. */
export const chainKey = (node: number, mode: number, trylock: boolean, nested: boolean): number =>
  ((node * 3 + mode) * 2 + (trylock ? 1 : 0)) * 2 + (nested ? 1 : 0);
