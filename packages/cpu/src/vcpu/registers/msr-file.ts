/** The first number and how many: those of long mode, which SYSCALL and SWAPGS read each time. */
const EXTENDED = 0xc0000000;
const EXTENDED_COUNT = 0x200;

/** MSRs kept as data, by number: [lo, hi]. As a `Map`, but numbers of long mode need no hashing. */
export class MsrFile {
  readonly #extended: ([number, number] | undefined)[] = new Array(EXTENDED_COUNT).fill(undefined);
  readonly #others = new Map<number, [number, number]>();

  get(number: number): [number, number] | undefined {
    const at = number - EXTENDED;
    return at >= 0 && at < EXTENDED_COUNT ? this.#extended[at] : this.#others.get(number);
  }

  set(number: number, value: [number, number]): this {
    const at = number - EXTENDED;
    if (at >= 0 && at < EXTENDED_COUNT) this.#extended[at] = value;
    else this.#others.set(number, value);
    return this;
  }

  clear(): void {
    this.#extended.fill(undefined);
    this.#others.clear();
  }

  *[Symbol.iterator](): IterableIterator<[number, [number, number]]> {
    yield* this.#others;
    for (const [at, value] of this.#extended.entries()) if (value !== undefined) yield [EXTENDED + at, value];
  }
}
