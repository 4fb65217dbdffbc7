import type { Gfn } from "../units.js";

/**
 * The sequence by which a fault notices that what it looked up without a lock has changed since (linux, include/linux/kvm_host.h, mmu_invalidate_*).
 * Changed and read under mmu_lock, but for the snapshot.
 */
export class Invalidation {
  #seq = 0;
  #inProgress = 0;
  #start = Number.POSITIVE_INFINITY;
  #end = 0;
  #waiting: (() => void)[] = [];

  /** To be taken before anything is looked up. */
  get seq(): number {
    return this.#seq;
  }

  begin(): void {
    if (this.#inProgress++ === 0) {
      this.#start = Number.POSITIVE_INFINITY;
      this.#end = 0;
    }
  }

  /** Frames `[start, end)` are about to change. */
  add(start: number, end: number): void {
    if (this.#inProgress === 0) throw new Error("an invalidation has ranges only between begin and end");
    this.#start = Math.min(this.#start, start);
    this.#end = Math.max(this.#end, end);
  }

  end(): void {
    if (this.#inProgress === 0) throw new Error("an invalidation ends that has not begun");
    this.#seq++;
    if (--this.#inProgress > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }

  /** After a retry of what began at `seq`: resolves when no invalidation is in progress, or, if none was in the way, after a turn of the event loop. */
  passed(seq: number): Promise<void> {
    if (this.#inProgress > 0) return new Promise((go) => this.#waiting.push(go));
    return seq !== this.#seq ? Promise.resolve() : condResched();
  }

  /** Whether what was looked up for `gfn` after the snapshot `seq` may be something else by now. */
  retry(seq: number, gfn: Gfn): boolean {
    if (seq !== this.#seq) return true;
    return this.#inProgress > 0 && gfn >= this.#start && gfn < this.#end;
  }
}

/** Lets others go on. */
const condResched = (): Promise<void> => new Promise((go) => setTimeout(go));
