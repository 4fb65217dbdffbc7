import type { RwSemaphore } from "@vm/lockdep";
import type { BackedSlot, GmemBinding } from "../kvm/ports.js";
import type { GuestMemfd } from "./guest-memfd.js";

/** `slot` shows pages `[pgoff, pgoff + slot.pages)` of `file`. */
export class Binding implements GmemBinding {
  constructor(
    readonly file: GuestMemfd,
    readonly slot: BackedSlot,
    readonly pgoff: number,
  ) {}

  get invalidateLock(): RwSemaphore {
    return this.file.inode.invalidateLock;
  }

  get end(): number {
    return this.pgoff + this.slot.pages;
  }
}
