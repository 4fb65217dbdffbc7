import type { Task } from "@vm/lockdep";
import { Page } from "../bits.js";
import { KvmError } from "../kvm/errors.js";
import { BOTH, type Filter, type Gfns, invalidateBegin, invalidateEnd, PRIVATE, SHARED } from "../kvm/invalidate.js";
import type { BackedSlot } from "../kvm/ports.js";
import { Binding, type GmemFile } from "./binding.js";
import { faultUserMapping, tryFaultUserMapping } from "./fault.js";
import type { Folio } from "./folio.js";
import { GmemFlag, GmemInode, type InodeFile } from "./inode.js";
import type { Vm } from "./vm.js";
import type { FaultResult, UserFile, Vma } from "./vma.js";

/** Argument of KVM_CREATE_GUEST_MEMFD. */
export interface CreateGuestMemfd {
  /** Bytes; a multiple of 4096, more than 0. */
  readonly size: number;
  /** {@link GmemFlag} bits. */
  readonly flags?: number;
}

/** The {@link GmemFlag} bits a VM can use (KVM_CAP_GUEST_MEMFD_FLAGS). */
export function supportedFlags({ hasPrivateMem, params }: Vm): number {
  const initShared = !hasPrivateMem || !params.vmMemoryAttributes;
  return GmemFlag.Mmap | (initShared ? GmemFlag.InitShared : 0);
}

/**
 * A guest_memfd as one VM has it: an open file of memory that belongs to the guest. Memslots are bound to it; user space can map it if it was made
 * for that, and then only what is shared. Source: linux, virt/kvm/guest_memfd.c.
 */
export class GuestMemfd implements UserFile, GmemFile, InodeFile {
  readonly #bindings = new Set<Binding>();
  /** The descriptor and the user mappings. */
  #opens = 1;
  #closed = false;

  private constructor(
    readonly vm: Vm,
    readonly inode: GmemInode,
  ) {
    inode.files.add(this);
  }

  /** KVM_CREATE_GUEST_MEMFD. @throws KvmError EINVAL, ENOMEM */
  static create(vm: Vm, { size, flags = 0 }: CreateGuestMemfd): GuestMemfd {
    const supported = supportedFlags(vm);
    if ((flags & ~supported) !== 0)
      throw new KvmError(
        "EINVAL",
        `guest_memfd flags 0x${flags.toString(16)}: supported are 0x${supported.toString(16)}`,
      );
    if (!(size > 0) || !Number.isInteger(size / Page.Size))
      throw new KvmError("EINVAL", `guest_memfd of ${size} bytes: not a multiple of 4096 above 0`);
    return new GuestMemfd(vm, new GmemInode(vm.locks.lockdep, vm.mm.arena, size / Page.Size, flags));
  }

  /** The same memory for another VM. */
  share(vm: Vm): GuestMemfd {
    this.#refuseClosed();
    return new GuestMemfd(vm, this.inode);
  }

  /** Bytes. */
  get size(): number {
    return this.inode.pages * Page.Size;
  }

  gfns(start: number, end: number): Gfns[] {
    return [...this.#bindings].flatMap(({ slot, pgoff, end: last }) => {
      const from = Math.max(start, pgoff);
      const to = Math.min(end, last);
      return from < to ? [{ start: slot.gfn + from - pgoff, end: slot.gfn + to - pgoff }] : [];
    });
  }

  get mappable(): Filter {
    if (!this.vm.params.vmMemoryAttributes) return BOTH;
    return this.inode.initShared ? SHARED : PRIVATE;
  }

  bindingOf(index: number): Binding | undefined {
    for (const binding of this.#bindings) if (index >= binding.pgoff && index < binding.end) return binding;
    return undefined;
  }

  unbound(binding: Binding): void {
    this.#bindings.delete(binding);
  }

  /**
   * Makes a memslot of `pages` pages that shows what is at `offset`. slots_lock is held; nobody sees the slot before it is bound.
   * @param insert makes the slot; what it throws is thrown, and nothing has changed
   * @throws KvmError EBADF if the file is closed, EINVAL if the range is not aligned, too long or bound already
   */
  async bind(task: Task, offset: number, pages: number, insert: () => BackedSlot): Promise<void> {
    this.vm.locks.slotsLock.assertHeld(task);
    this.#refuseClosed();
    const { inode } = this;
    const pgoff = offset / Page.Size;
    if (!Number.isInteger(pgoff) || offset < 0 || pgoff + pages > inode.pages)
      throw new KvmError(
        "EINVAL",
        `memslot of ${pages} pages at ${offset}: the guest_memfd has ${this.size} bytes in pages`,
      );
    await inode.invalidateLock.write(task, () => {
      for (const other of this.#bindings)
        if (pgoff < other.end && other.pgoff < pgoff + pages)
          throw new KvmError("EINVAL", `memslot ${other.slot.slot} is bound to pages [${other.pgoff}, ${other.end})`);
      const slot = insert();
      const binding = new Binding(this, slot, pgoff);
      this.#bindings.add(binding);
      slot.hasGmem = true;
      slot.gmem = binding;
      slot.gmemOnly = inode.canMmap;
    });
  }

  /** Undoes {@link bind} when the slot goes. slots_lock is held, and the slot unmapped. */
  static async unbind(task: Task, slot: BackedSlot): Promise<void> {
    const binding = slot.gmem;
    // Released before: nothing is left of the file.
    if (!(binding instanceof Binding)) return;
    binding.file.vm.locks.slotsLock.assertHeld(task);
    await binding.invalidateLock.write(task, () => {
      binding.file.unbound(binding);
      slot.gmem = null;
    });
  }

  /** Closes the descriptor: the VM loses the memory, user mappings keep it. @throws KvmError EBADF if that was done */
  async close(task: Task): Promise<void> {
    this.#refuseClosed();
    this.#closed = true;
    await this.#put(task);
  }

  checkMmap(shared: boolean): void {
    if (!this.inode.canMmap) throw new KvmError("ENODEV", "this guest_memfd was created without GUEST_MEMFD_FLAG_MMAP");
    if (!shared) throw new KvmError("EINVAL", "a guest_memfd can be mapped MAP_SHARED only");
  }

  vmaOpened(vma: Vma): void {
    this.#opens++;
    this.inode.vmas.add(vma);
  }

  async vmaClosed(task: Task, vma: Vma): Promise<void> {
    this.inode.vmas.delete(vma);
    await this.#put(task);
  }

  fault(task: Task, index: number, install: (folio: Folio) => void): Promise<FaultResult> {
    return faultUserMapping(this, task, index, install);
  }

  tryFault(task: Task, index: number, install: (folio: Folio) => void): FaultResult | "retry" {
    return tryFaultUserMapping(this, task, index, install);
  }

  async #put(task: Task): Promise<void> {
    if (--this.#opens === 0) await this.#release(task);
  }

  /** Takes the memory from the VM. Its slots stay, without anything behind them. */
  async #release(task: Task): Promise<void> {
    const { inode, vm } = this;
    await vm.locks.slotsLock.run(task, () =>
      inode.invalidateLock.write(task, () => {
        const gfns = this.gfns(0, inode.pages);
        invalidateBegin(task, vm, gfns, this.mappable);
        for (const { slot } of this.#bindings) slot.gmem = null;
        invalidateEnd(task, vm, gfns);
        this.#bindings.clear();
        inode.files.delete(this);
        if (inode.files.size === 0) inode.evict();
      }),
    );
  }

  #refuseClosed(): void {
    if (this.#closed) throw new KvmError("EBADF", "the guest_memfd is closed");
  }
}
