import { type Arena, ERRNO } from "@vm/bpf-storage";
import { u64 } from "@vm/cpu";

/** Tasks that are remembered: more than a guest of this machine has, and no more than one that lies can make us remember. */
const TASKS_MOST = 1 << 16;
const CELL_BYTES = 4;
/** Upper 16 bits of a kernel address. */
const KERNEL = 0xffff;

/** For each task of the guest, by its address, the word that leads to its storage: the guest's own memory is not written. */
export class TaskCells {
  readonly #arena: Arena;
  /** By the lower 48 bits of the task's address. */
  readonly #cells = new Map<number, number>();
  readonly #addresses = new Map<number, bigint>();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** Tasks that are remembered. */
  get size(): number {
    return this.#cells.size;
  }

  /** The cell of the task at `high:low`; 0 for what is no address of the kernel, and when there are too many. */
  cell(low: number, high: number): number {
    if (high >>> 16 !== KERNEL) return 0;
    const key = (high & 0xffff) * 2 ** 32 + (low >>> 0);
    const known = this.#cells.get(key);
    if (known !== undefined) return known;
    const cell = this.#cells.size < TASKS_MOST ? this.#arena.alloc(CELL_BYTES) : 0;
    if (cell === 0) return 0;
    this.#cells.set(key, cell);
    this.#addresses.set(cell, u64(low, high));
    return cell;
  }

  /** The cell of a task that has one. */
  known(address: bigint): number | undefined {
    return this.#cells.get(Number(BigInt.asUintN(48, address)));
  }

  /** The address of the task that a cell belongs to; null if it is gone. */
  addressOf(cell: number): bigint | null {
    return this.#addresses.get(cell) ?? null;
  }

  /** Tasks that have a cell, by address. */
  *tasks(): Generator<{ readonly address: bigint; readonly cell: number }> {
    for (const [cell, address] of this.#addresses) yield { address, cell };
  }

  /** From outside nobody has descriptors of the guest's tasks. */
  ofPid(_pid: number): number {
    return -ERRNO.EBADF;
  }

  /** The task is gone, and its storage with it. */
  forget(address: bigint): void {
    const key = Number(BigInt.asUintN(48, address));
    const cell = this.#cells.get(key);
    if (cell === undefined) return;
    this.#cells.delete(key);
    this.#addresses.delete(cell);
    this.#arena.free(cell);
  }
}
