/** Places that stay empty in front before what follows moves up: then at least half are, so each item moves once or twice. */
const SPARE = 1024;

/** First in, first out, however many: an array's own `shift` moves all that stay. */
export class Fifo<T> {
  #items: T[] = [];
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** The first, left where it is; undefined if there is none. */
  get first(): T | undefined {
    return this.#items[this.#head];
  }

  /** Has `item` stand where the first stands. */
  replaceFirst(item: T): void {
    this.#items[this.#head] = item;
  }

  /** Takes the first out; undefined if there is none. */
  shift(): T | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#head++;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head >= SPARE && 2 * this.#head >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }
}
