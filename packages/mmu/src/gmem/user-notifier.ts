import type { Task } from "@vm/lockdep";
import { Page } from "../bits.js";
import { type Gfns, invalidateBegin, invalidateEnd, SHARED } from "../kvm/invalidate.js";
import type { MmuNotifier } from "./mm.js";
import type { Vm } from "./vm.js";

/** Unmaps from a VM what its process unmaps under a memslot's user address. Linux: kvm_mmu_notifier_invalidate_range_start and _end. */
export class UserMemoryNotifier implements MmuNotifier {
  constructor(readonly vm: Vm) {}

  invalidateRangeStart(task: Task, start: number, end: number): void {
    invalidateBegin(task, this.vm, this.#gfns(start, end), SHARED);
  }

  invalidateRangeEnd(task: Task, start: number, end: number): void {
    invalidateEnd(task, this.vm, this.#gfns(start, end));
  }

  #gfns(start: number, end: number): Gfns[] {
    return this.vm.slots.all.flatMap(({ userAddr, gmemOnly, gfn, pages }) => {
      if (userAddr === null || gmemOnly) return [];
      const from = Math.max(start, userAddr);
      const to = Math.min(end, userAddr + pages * Page.Size);
      return from < to ? [{ start: gfn + (from - userAddr) / Page.Size, end: gfn + (to - userAddr) / Page.Size }] : [];
    });
  }
}
