import { Fifo } from "../fifo.js";

interface Reader<T> {
  readonly resolve: (result: IteratorResult<T>) => void;
  readonly reject: (error: Error) => void;
}

/** A queue that is read with `for await`. One reader at a time. */
export class AsyncQueue<T> implements AsyncIterableIterator<T> {
  readonly #items = new Fifo<T>();
  readonly #readers: Reader<T>[] = [];
  #ended = false;
  /** Why it has ended; the next reader is told. */
  #error: Error | null = null;

  /** Items that nobody has read. */
  get size(): number {
    return this.#items.size;
  }

  push(item: T): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) reader.resolve({ value: item, done: false });
    else if (!this.#ended) this.#items.push(item);
  }

  /** What is in the queue can still be read; nothing comes after it but `error`, once, unless it is null. */
  end(error: Error | null = null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    for (const { resolve, reject } of this.#readers.splice(0)) this.#last().then(resolve, reject);
  }

  next(): Promise<IteratorResult<T>> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve({ value: item, done: false });
    if (this.#ended) return this.#last();
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  #last(): Promise<IteratorResult<T>> {
    const error = this.#error;
    this.#error = null;
    return error === null ? Promise.resolve({ value: undefined, done: true }) : Promise.reject(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
