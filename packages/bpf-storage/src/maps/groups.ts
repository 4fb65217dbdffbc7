/** Buckets of a group: a power of 2. */
const BITS = 10;

/**
 * Which of many buckets may have something in them: who goes through all leaves out those that never had, in groups. Memory that nobody has written to
 * is not read either, which would be to have it.
 */
export class UsedGroups {
  readonly #used: Uint8Array;

  /** @param count of buckets */
  constructor(readonly count: number) {
    this.#used = new Uint8Array(Math.ceil(count / 2 ** BITS));
  }

  /** Something comes into a bucket. */
  use(bucket: number): void {
    this.#used[bucket >>> BITS] = 1;
  }

  /** The first bucket from `bucket` on that may have something in it; `count` if there is none. */
  next(bucket: number): number {
    const group = bucket >>> BITS;
    if (bucket >= this.count || this.#used[group] === 1) return Math.min(bucket, this.count);
    const found = this.#used.indexOf(1, group + 1);
    return found < 0 ? this.count : found << BITS;
  }
}
