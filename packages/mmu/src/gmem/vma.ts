import type { Task } from "@vm/lockdep";
import { Page } from "../bits.js";
import type { Folio, FolioPool } from "./folio.js";

export type Signal = "SIGSEGV" | "SIGBUS";

/** Outcome of a fault on a user mapping. */
export type FaultResult = "mapped" | Signal;

/** An access of the host process that kills it. */
export class UserFault extends Error {
  override readonly name = "UserFault";
  /** The signal. */
  readonly code: Signal;

  constructor(
    readonly signal: Signal,
    readonly addr: number,
  ) {
    super(`${signal} at 0x${addr.toString(16)}`);
    this.code = signal;
  }
}

/** A file that a process can map. */
export interface UserFile {
  /** @throws KvmError if it cannot be mapped, shared or at all */
  checkMmap(shared: boolean): void;
  vmaOpened(vma: Vma): void;
  /** The mapping is gone, and mmap_lock not held. */
  vmaClosed(task: Task, vma: Vma): Promise<void>;
  /** Finds page `index` and gives it, with a reference, to `install` before it lets any lock go. mmap_lock is held shared. */
  fault(task: Task, index: number, install: (folio: Folio) => void): Promise<FaultResult>;
  /** The same for a caller that cannot wait: "retry" if a lock is taken. */
  tryFault(task: Task, index: number, install: (folio: Folio) => void): FaultResult | "retry";
}

/** A mapping of `pages` pages at user address `start`. */
export class Vma {
  readonly #zapUser: (task: Task, first: number, end: number) => void;

  constructor(
    readonly start: number,
    readonly pages: number,
    readonly backing: UserFile | FolioPool,
    /** Page of the file that comes first. */
    readonly pgoff: number,
    zapUser: (task: Task, first: number, end: number) => void,
  ) {
    this.#zapUser = zapUser;
  }

  /** One past the last address. */
  get end(): number {
    return this.start + this.pages * Page.Size;
  }

  /** What of the mapping is within user addresses `[from, to)`, multiples of 4096; null if nothing. */
  part(from: number, to: number): Vma | null {
    const start = Math.max(from, this.start);
    const pages = (Math.min(to, this.end) - start) / Page.Size;
    return pages > 0 ? new Vma(start, pages, this.backing, this.indexOf(start), this.#zapUser) : null;
  }

  contains(addr: number): boolean {
    return addr >= this.start && addr < this.end;
  }

  /** Page of the file that is at `addr`. */
  indexOf(addr: number): number {
    return this.pgoff + Math.floor((addr - this.start) / Page.Size);
  }

  /** Unmaps what is mapped of pages `[first, end)` of the file. */
  zap(task: Task, first: number, end: number): void {
    const base = this.start / Page.Size - this.pgoff;
    const from = Math.max(first, this.pgoff);
    const to = Math.min(end, this.pgoff + this.pages);
    this.#zapUser(task, base + from, base + to);
  }
}

/** A fault on anonymous memory. */
export function faultAnonymous(pool: FolioPool, install: (folio: Folio) => void): FaultResult {
  const folio = pool.take();
  if (folio === null) return "SIGBUS";
  folio.clear();
  install(folio);
  return "mapped";
}
