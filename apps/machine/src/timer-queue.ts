/** A scheduled call. */
export interface Timer {
  /** Takes the call back; does nothing once it has happened. */
  cancel(): void;
}

class Entry implements Timer {
  /** Place in the heap, -1 when it is not there any more. */
  place = -1;
  readonly #queue: TimerQueue;

  constructor(
    queue: TimerQueue,
    readonly at: number,
    /** Of calls for the same time those with the lowest rank are first, and of these the one that was added first. */
    readonly rank: number,
    readonly order: number,
    public fn: (() => void) | null,
  ) {
    this.#queue = queue;
  }

  cancel(): void {
    this.#queue.remove(this);
  }

  isBefore(other: Entry): boolean {
    if (this.at !== other.at) return this.at < other.at;
    return this.rank < other.rank || (this.rank === other.rank && this.order < other.order);
  }
}

/**
 * Calls by time, earliest first: a binary heap in which every call knows its place, so that a cancelled one is taken out at once. Guests
 * set a timer anew millions of times; the queue never holds more than those that are set. Adding and cancelling take O(log n).
 */
export class TimerQueue {
  readonly #heap: Entry[] = [];
  #order = 0;

  /** Calls that wait. */
  get size(): number {
    return this.#heap.length;
  }

  /** Time of the earliest, or Infinity. */
  get next(): number {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** Tells what is added from now on from what was before. */
  mark(): number {
    return this.#order;
  }

  /** @throws {RangeError} when `at` is not a number */
  add(at: number, fn: () => void, rank = 0): Timer {
    if (Number.isNaN(at)) throw new RangeError("a timer's time is NaN, not a number of ns");
    const entry = new Entry(this, at, rank, this.#order++, fn);
    this.#heap.push(entry);
    this.#rise(entry, this.#heap.length - 1);
    return entry;
  }

  /** Takes out the earliest call, if it is due at `now` and was added before `mark`; else null. */
  take(now: number, mark: number): (() => void) | null {
    const entry = this.#heap[0];
    if (entry === undefined || entry.at > now || entry.order >= mark) return null;
    const { fn } = entry;
    this.remove(entry);
    return fn;
  }

  /** @internal */
  remove(entry: Entry): void {
    const { place } = entry;
    if (place < 0) return;
    entry.place = -1;
    entry.fn = null;
    const last = this.#heap.pop() as Entry;
    if (last === entry) return;
    this.#rise(last, place);
    this.#sink(last, last.place);
  }

  #rise(entry: Entry, from: number): void {
    let place = from;
    while (place > 0) {
      const parent = this.#heap[(place - 1) >> 1] as Entry;
      if (!entry.isBefore(parent)) break;
      this.#put(parent, place);
      place = (place - 1) >> 1;
    }
    this.#put(entry, place);
  }

  #sink(entry: Entry, from: number): void {
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= this.#heap.length) break;
      if (child + 1 < this.#heap.length && (this.#heap[child + 1] as Entry).isBefore(this.#heap[child] as Entry))
        child++;
      if (!(this.#heap[child] as Entry).isBefore(entry)) break;
      this.#put(this.#heap[child] as Entry, place);
      place = child;
    }
    this.#put(entry, place);
  }

  #put(entry: Entry, place: number): void {
    this.#heap[place] = entry;
    entry.place = place;
  }
}
