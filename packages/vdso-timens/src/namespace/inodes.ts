import { VdsoError } from "../errors.js";
import type { InodeNumbers } from "./ports.js";

/** `PROC_DYNAMIC_FIRST`: what is below has a fixed meaning. */
const FIRST = 0xf000_0000;

/** Inode numbers as the kernel hands them out: always the lowest one that is free. `take` throws a VdsoError if it is not. */
export class Inodes implements InodeNumbers {
  readonly #free: number[] = [];
  #next = FIRST;

  alloc(): number {
    if (this.#free.length === 0) return this.#next++;
    const lowest = this.#free.reduce((a, b) => Math.min(a, b));
    this.#free.splice(this.#free.indexOf(lowest), 1);
    return lowest;
  }

  take(inode: number): void {
    while (this.#next <= inode) this.#free.push(this.#next++);
    const at = this.#free.indexOf(inode);
    if (at < 0) throw new VdsoError("inode", `inode ${inode}: expected one from ${FIRST} that nothing has`);
    this.#free.splice(at, 1);
  }

  free(inode: number): void {
    this.#free.push(inode);
  }
}
