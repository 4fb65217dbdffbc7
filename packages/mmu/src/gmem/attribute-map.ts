/** Attribute bits of a page; uapi linux/kvm.h. */
export enum MemoryAttribute {
  None = 0,
  Private = 1 << 3,
}

/**
 * Attributes of pages `[0, end)`: an interval map that covers them all at all times and has no two equal neighbours.
 * Linux: a maple tree for a guest_memfd, an xarray for a VM.
 */
export class AttributeMap {
  /** Interval k is `[#starts[k], #starts[k + 1])`, the last one ends at `end`, and has `#values[k]`. */
  #starts = [0];
  #values: number[];

  constructor(
    readonly end: number,
    initial: number,
  ) {
    this.#values = [initial];
  }

  /** How many intervals there are. */
  get intervals(): number {
    return this.#starts.length;
  }

  at(page: number): number {
    return this.#values[this.#interval(page)] as number;
  }

  /** Whether all of `[from, to)` has `value`. */
  uniform(from: number, to: number, value: number): boolean {
    for (let k = this.#interval(from); k < this.#starts.length && (this.#starts[k] as number) < to; k++) {
      if (this.#values[k] !== value) return false;
    }
    return true;
  }

  /** Gives `[from, to)`, not empty and within `[0, end)`, the attributes `value`. */
  set(from: number, to: number, value: number): void {
    const first = this.#interval(from);
    const last = this.#interval(to - 1);
    const lastEnd = this.#starts[last + 1] ?? this.end;
    const starts: number[] = [];
    const values: number[] = [];
    const add = (start: number, end: number, attributes: number): void => {
      if (start === end || values.at(-1) === attributes) return;
      starts.push(start);
      values.push(attributes);
    };
    // The neighbours outside take part, so that equal ones merge.
    const low = Math.max(first - 1, 0);
    const high = Math.min(last + 1, this.#starts.length - 1);
    if (low < first) add(this.#starts[low] as number, this.#starts[first] as number, this.#values[low] as number);
    add(this.#starts[first] as number, from, this.#values[first] as number);
    add(from, to, value);
    add(to, lastEnd, this.#values[last] as number);
    if (high > last) add(this.#starts[high] as number, Number.POSITIVE_INFINITY, this.#values[high] as number);
    this.#starts.splice(low, high - low + 1, ...starts);
    this.#values.splice(low, high - low + 1, ...values);
  }

  /** Number of the interval that has `page`. */
  #interval(page: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] as number) <= page) low = middle;
      else high = middle;
    }
    return low;
  }
}
