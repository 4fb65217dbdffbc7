import { BpfError } from "../errors.js";

/** Something that is there as long as somebody holds it: descriptors, pins, programs that use a map. */
export abstract class Counted {
  /** What is made is held by who makes it. */
  #holders = 1;

  hold(): this {
    if (this.#holders++ === 0) this.revived();
    return this;
  }

  /** One holder less. */
  put(): void {
    if (--this.#holders === 0) this.gone();
  }

  /** A descriptor or a pin more. */
  holdUser(): this {
    return this.hold();
  }

  /** A descriptor or a pin less. */
  putUser(): void {
    this.put();
  }

  /** Nobody holds it any more. */
  protected abstract gone(): void;

  /** Somebody holds it again, who has found it where nobody counted. */
  protected revived(): void {}
}

/** Objects of a kind by their ids, which are given once (`idr_alloc_cyclic`). */
export class ObjectTable<T extends { readonly id: number }> {
  readonly #objects = new Map<number, T>();
  /** Rising. */
  readonly #ids: number[] = [];
  #next = 1;

  /** The id of the next object. */
  nextId(): number {
    return this.#next++;
  }

  /** @param object whose id is above those of all others */
  add(object: T): void {
    this.#objects.set(object.id, object);
    this.#ids.push(object.id);
  }

  remove({ id }: T): void {
    if (this.#objects.delete(id)) this.#ids.splice(this.#place(id), 1);
  }

  get(id: number): T | undefined {
    return this.#objects.get(id);
  }

  /** The least id above `id`. @throws {BpfError} ENOENT if there is none */
  after(id: number): number {
    const next = this.#ids[this.#place(id + 1)];
    if (next === undefined) throw new BpfError("ENOENT", `no id above ${id}`);
    return next;
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#objects.values();
  }

  /** Where the first id stands that is not below `id`. */
  #place(id: number): number {
    let [low, high] = [0, this.#ids.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ids[middle] as number) < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
