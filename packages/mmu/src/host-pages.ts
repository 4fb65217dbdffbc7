import type { Task } from "@vm/lockdep";
import { KvmError, PrivateMemoryError } from "./kvm/errors.js";
import type { BackedSlot, PageSource } from "./kvm/ports.js";
import type { Gfn } from "./units.js";

/** Guest pages that are not a memslot's own, as the host reaches them: those that are shared. */
export class HostPages {
  constructor(
    readonly source: PageSource,
    readonly task: Task,
  ) {}

  /**
   * The frame of `gfn`.
   * @throws PrivateMemoryError; KvmError EAGAIN if the page must be made while somebody changes the file, EFAULT and others if there is none
   */
  pfn(slot: BackedSlot, gfn: Gfn): number {
    if (this.source.isPrivate(slot, gfn)) throw new PrivateMemoryError(gfn);
    const there = this.source.peekShared(slot, gfn);
    if (there !== 0) return there;
    const page = this.source.tryFaultinPfn(this.task, slot, gfn, false);
    if ("error" in page) throw new KvmError(page.error, `guest frame 0x${gfn.toString(16)} of memslot ${slot.slot}`);
    return page.pfn;
  }
}
