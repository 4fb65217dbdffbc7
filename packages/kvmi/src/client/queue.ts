import { Fifo } from "../fifo.js";

/** A queue that is read with `for await`. One reader at a time. */
export class AsyncQueue<T> implements AsyncIterableIterator<T> {
  readonly #items = new Fifo<T>();
  readonly #readers: ((result: IteratorResult<T>) => void)[] = [];
  #ended = false;

  push(item: T): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) reader({ value: item, done: false });
    else if (!this.#ended) this.#items.push(item);
  }

  /** What is in the queue can still be read; nothing comes after it. */
  end(): void {
    this.#ended = true;
    for (const reader of this.#readers.splice(0)) reader({ value: undefined, done: true });
  }

  next(): Promise<IteratorResult<T>> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve({ value: item, done: false });
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
