/**
 * The seam between the backing of guest memory (guest_memfd, attributes, user memory) and the second-level page tables that map it.
 * Source: linux, include/linux/kvm_host.h (kvm_gfn_range, mmu_invalidate_*), virt/kvm/guest_memfd.c, arch/x86/kvm/mmu/mmu.c.
 */

import type { RwSemaphore, Task } from "@vm/lockdep";
import type { Pfn } from "../arena.js";
import type { Gfn } from "../units.js";

/** Guest frames `[start, end)` and which of their mappings are meant. */
export interface GfnRange {
  readonly start: number;
  readonly end: number;
  /** Mappings of private memory. */
  readonly private: boolean;
  /** Mappings of shared memory. */
  readonly shared: boolean;
}

/**
 * The page tables, as seen by who changes what lies behind a guest frame: under mmu_lock, held exclusively by `task` (asserted),
 * begin, add every range, unmap; then, once the change is visible, end, under mmu_lock again. A fault that looked up its page between begin and end, or
 * before begin, and comes to map it later sees the sequence and looks up again.
 */
export interface GfnRangeTarget {
  invalidateBegin(task: Task): void;
  /** Between begin and end: frames `[start, end)` are about to change. */
  invalidateRangeAdd(task: Task, start: number, end: number): void;
  /** Removes the mappings. True if TLBs must be flushed before the frames may be used for anything else. */
  unmapGfnRange(task: Task, range: GfnRange): boolean;
  /** No vCPU uses an old translation when this returns. */
  flushRemoteTlbs(task: Task): void;
  invalidateEnd(task: Task): void;
  /**
   * Maps a private frame of a page that is not uptodate yet: for populate alone. slots_lock and the invalidate_lock of the slot's guest_memfd are held
   * (asserted); takes mmu_lock shared. Tries until `signalPending`.
   * @throws KvmError EPERM for a write-tracked frame, EIO if the frame is mapped already or the VM is dead, EINTR
   */
  mapPrivatePfn(task: Task, gfn: Gfn, pfn: Pfn, signalPending?: () => boolean): Promise<void>;
}

/** What of a guest_memfd is bound to a memslot. */
export interface GmemBinding {
  /** Page of the guest_memfd that is the first of the slot. */
  readonly pgoff: number;
  /** What keeps the pages where they are, of all files of the inode. */
  readonly invalidateLock: RwSemaphore;
}

/** A memslot as the backing sees it. */
export interface BackedSlot {
  readonly slot: number;
  readonly gfn: Gfn;
  readonly pages: number;
  /** User address of the shared memory, a multiple of 4096; null without. */
  readonly userAddr: number | null;
  /** Whether it was made with a guest_memfd (KVM_MEM_GUEST_MEMFD), which may be gone by now. Set by bind. */
  hasGmem: boolean;
  /** Set by bind, cleared by unbind and when the guest_memfd is closed; under slots_lock. */
  gmem: GmemBinding | null;
  /** Shared memory comes from the guest_memfd too (KVM_MEMSLOT_GMEM_ONLY): set by bind. */
  gmemOnly: boolean;
}

/** Why a page could not be had: EAGAIN asks the caller to wait with the async form. */
export type FaultinErrno = "EAGAIN" | "EFAULT" | "EHWPOISON" | "EIO" | "ENOMEM";
export type Faultin = { readonly pfn: Pfn; readonly writable: boolean } | { readonly error: FaultinErrno };

/**
 * What lies behind a guest frame. A frame that is returned stays that of the page until the invalidation sequence moves; the caller takes its snapshot
 * of the sequence before it asks. No lock is held on return.
 */
export interface PageSource {
  /** The page behind `gfn` of `slot`, zeroed when it is new. May wait; `task` holds no lock below slots_lock. */
  faultinPfn(task: Task, slot: BackedSlot, gfn: Gfn, isPrivate: boolean): Promise<Faultin>;
  /** The same for a caller that cannot wait: EAGAIN if a lock it needs is taken. */
  tryFaultinPfn(task: Task, slot: BackedSlot, gfn: Gfn, isPrivate: boolean): Faultin;
  /** The frame of a shared page that is there, for who uses it before anything else happens: as through a page-table entry, without a lock. 0 if it is not. @throws KvmError EHWPOISON, EFAULT */
  peekShared(slot: BackedSlot, gfn: Gfn): Pfn | 0;
  /** The attribute in force. A fault of the other kind leaves the guest as memory-fault. */
  isPrivate(slot: BackedSlot, gfn: Gfn): boolean;
}
