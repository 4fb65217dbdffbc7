import type { RwSemaphore } from "@vm/lockdep";
import type { BackedSlot, GmemBinding } from "../kvm/ports.js";
import type { GmemInode } from "./inode.js";
import type { Vm } from "./vm.js";

/** A guest_memfd as those know it who come by a memslot. */
export interface GmemFile {
  readonly vm: Vm;
  readonly inode: GmemInode;
  /** What shows page `index`. */
  bindingOf(index: number): Binding | undefined;
  /** Forgets a binding whose slot goes. */
  unbound(binding: Binding): void;
}

/** `slot` shows pages `[pgoff, pgoff + slot.pages)` of `file`. */
export class Binding implements GmemBinding {
  constructor(
    readonly file: GmemFile,
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
