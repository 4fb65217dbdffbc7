import { exportName } from "./state.js";

/** The engine's table of functions: those of all of its programs, and the helpers that the interpreter calls. Index 0 stays empty. */
export class Slots {
  readonly table = new WebAssembly.Table({ element: "anyfunc", initial: 64 });
  readonly #free = new Map<number, number[]>();
  readonly #helpers = new Map<CallableFunction, number>();
  #next = 1;

  /** The first of `count` consecutive indexes. */
  take(count: number): number {
    const freed = this.#free.get(count)?.pop();
    if (freed !== undefined) return freed;
    const first = this.#next;
    this.#next += count;
    if (this.#next > this.table.length) this.table.grow(this.table.length + count);
    return first;
  }

  /** Fills `count` indexes with the functions of a program. */
  put(first: number, count: number, functions: Readonly<Record<string, CallableFunction>>): void {
    for (let k = 0; k < count; k++) this.table.set(first + k, functions[exportName(k)]);
  }

  /** Gives them back. */
  release(first: number, count: number): void {
    for (let k = 0; k < count; k++) this.table.set(first + k, null);
    const free = this.#free.get(count);
    if (free === undefined) this.#free.set(count, [first]);
    else free.push(first);
  }

  /** The index of a helper, the same for the same function. */
  helper(func: CallableFunction): number {
    let index = this.#helpers.get(func);
    if (index === undefined) {
      index = this.take(1);
      this.table.set(index, func);
      this.#helpers.set(func, index);
    }
    return index;
  }
}
