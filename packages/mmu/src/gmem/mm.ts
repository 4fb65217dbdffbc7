import { LockClass, type Lockdep, RwSemaphore, type Task } from "@vm/lockdep";
import type { FrameArena } from "../arena.js";
import { Page } from "../bits.js";
import { KvmError } from "../kvm/errors.js";
import { type Folio, FolioPool } from "./folio.js";
import { type FaultResult, faultAnonymous, type Signal, UserFault, type UserFile, Vma } from "./vma.js";

const MMAP_LOCK = new LockClass("&mm->mmap_lock");

/** First address that is handed out. */
const MMAP_BASE = 0x7f00_0000_0000;

export interface MmapDesc {
  /** Bytes, more than 0; rounded up to pages. */
  readonly length: number;
  /** What is mapped; anonymous memory without. */
  readonly file?: UserFile;
  /** Byte of the file that comes first, a multiple of 4096. Default 0. */
  readonly offset?: number;
  /** MAP_SHARED, the default, or MAP_PRIVATE. */
  readonly shared?: boolean;
}

/** Hears of user pages about to be unmapped, and unmapped: whoever else translates these addresses (linux, mmu_notifier). */
export interface MmuNotifier {
  invalidateRangeStart(task: Task, start: number, end: number): void;
  invalidateRangeEnd(task: Task, start: number, end: number): void;
}

/**
 * The address space of a host process: mappings under mmap_lock, page tables, page faults. Addresses are numbers; all mappings can be read and
 * written. A page is accessed in the turn of the event loop in which its table entry is seen, so an entry that is gone is never used.
 */
export class Mm {
  readonly mmapLock: RwSemaphore;
  readonly #vmas = new Set<Vma>();
  /** Address / 4096 -> page. */
  readonly #ptes = new Map<number, Folio>();
  readonly #notifiers = new Set<MmuNotifier>();
  #next = MMAP_BASE;

  constructor(
    lockdep: Lockdep,
    readonly arena: FrameArena,
  ) {
    this.mmapLock = new RwSemaphore(lockdep, MMAP_LOCK);
  }

  /** Maps memory and returns its address. @throws KvmError EINVAL, ENOMEM, ENODEV for a file that cannot be mapped */
  async mmap(task: Task, { length, file, offset = 0, shared = true }: MmapDesc): Promise<number> {
    if (!(length > 0) || !Number.isInteger(offset / Page.Size) || offset < 0)
      throw new KvmError("EINVAL", `mmap of ${length} bytes at offset ${offset}: more than 0, at a multiple of 4096`);
    return this.mmapLock.write(task, () => {
      const pages = Math.ceil(length / Page.Size);
      file?.checkMmap(shared);
      const backing = file ?? new FolioPool(this.arena, pages);
      const vma = new Vma(this.#next, pages, backing, offset / Page.Size, (by, first, end) =>
        this.#zap(by, first, end),
      );
      // A page stays free on both sides of every mapping.
      this.#next += (pages + 1) * Page.Size;
      this.#add(vma);
      return vma.start;
    });
  }

  /**
   * Removes what is mapped in `[addr, addr + length)`; mappings that begin before or end behind it keep the rest.
   * @param length bytes, rounded up to pages
   * @throws KvmError EINVAL for an address that is not a multiple of 4096, or no bytes
   */
  async munmap(task: Task, addr: number, length: number): Promise<void> {
    if (!(length > 0) || !Number.isInteger(addr / Page.Size) || addr < 0)
      throw new KvmError("EINVAL", `munmap of ${length} bytes at ${addr}: more than 0, at a multiple of 4096`);
    const end = addr + Math.ceil(length / Page.Size) * Page.Size;
    const closed: (() => Promise<void>)[] = [];
    await this.mmapLock.write(task, () => {
      for (const vma of [...this.#vmas]) {
        const gone = vma.part(addr, end);
        if (gone === null) continue;
        const { backing } = vma;
        this.#vmas.delete(vma);
        for (const rest of [vma.part(0, addr), vma.part(end, vma.end)]) if (rest !== null) this.#add(rest);
        if (backing instanceof FolioPool) this.#retire(backing, gone);
        else closed.push(() => backing.vmaClosed(task, vma));
        gone.zap(task, gone.pgoff, gone.pgoff + gone.pages);
      }
    });
    // Closing the last reference to a file takes locks that mmap_lock nests in.
    for (const close of closed) await close();
  }

  #retire(pool: FolioPool, { start, end, pages }: Vma): void {
    const touched: Folio[] = [];
    for (let addr = start; addr < end; addr += Page.Size) {
      const folio = this.peek(addr);
      if (folio !== undefined) touched.push(folio);
    }
    pool.retire(pages - touched.length, touched);
  }

  #add(vma: Vma): void {
    this.#vmas.add(vma);
    if (!(vma.backing instanceof FolioPool)) vma.backing.vmaOpened(vma);
  }

  /** Unmaps everything: the process is over. */
  async exit(task: Task): Promise<void> {
    await this.munmap(task, 0, this.#next);
  }

  /** Tells `notifier` from now on; returns what ends that. */
  register(notifier: MmuNotifier): () => void {
    this.#notifiers.add(notifier);
    return () => this.#notifiers.delete(notifier);
  }

  /** Pages mapped. */
  get mapped(): number {
    return this.#ptes.size;
  }

  /** The page mapped at `addr`, if the process has touched it. */
  peek(addr: number): Folio | undefined {
    return this.#ptes.get(Math.floor(addr / Page.Size));
  }

  /** The process reads `size` bytes. @throws UserFault SIGSEGV, SIGBUS */
  async load(task: Task, addr: number, size: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(size);
    await this.#access(task, addr, size, (page, done) => bytes.set(page, done));
    return bytes;
  }

  /** The process writes. @throws UserFault SIGSEGV, SIGBUS; what comes before the page is written */
  async store(task: Task, addr: number, bytes: Uint8Array): Promise<void> {
    await this.#access(task, addr, bytes.length, (page, done) => page.set(bytes.subarray(done, done + page.length)));
  }

  /**
   * Pins the page at `addr`, faulting it in: the caller puts it back. Says that it may take mmap_lock, also when the page is there.
   * Linux: get_user_pages_fast.
   * @throws KvmError EFAULT
   */
  async gupFast(task: Task, addr: number): Promise<Folio> {
    this.mmapLock.mightLockShared(task);
    return this.peek(addr)?.get() ?? this.#gupSlow(task, addr);
  }

  /** The same for a caller that cannot wait: "retry" if a lock is taken. */
  tryGup(task: Task, addr: number): Folio | Signal | "retry" {
    this.mmapLock.mightLockShared(task);
    const pte = this.peek(addr);
    if (pte !== undefined) return pte.get();
    if (!this.mmapLock.tryDownRead(task)) return "retry";
    try {
      const vma = this.#find(addr);
      if (vma === undefined) return "SIGSEGV";
      const index = vma.indexOf(addr);
      let pinned: Folio | "retry" = "retry";
      const install = (folio: Folio): void => {
        this.#install(addr, folio);
        pinned = folio.get();
      };
      const result =
        vma.backing instanceof FolioPool
          ? faultAnonymous(vma.backing, install)
          : vma.backing.tryFault(task, index, install);
      return result === "mapped" ? pinned : result;
    } finally {
      this.mmapLock.upRead(task);
    }
  }

  async #gupSlow(task: Task, addr: number): Promise<Folio> {
    await this.mmapLock.downRead(task);
    try {
      for (;;) {
        const pte = this.peek(addr);
        if (pte !== undefined) return pte.get();
        const result = await this.#handleMmFault(task, this.#find(addr), addr);
        if (result !== "mapped") throw new KvmError("EFAULT", `user page 0x${addr.toString(16)}: ${result}`);
      }
    } finally {
      this.mmapLock.upRead(task);
    }
  }

  async #access(
    task: Task,
    addr: number,
    size: number,
    visit: (page: Uint8Array, done: number) => void,
  ): Promise<void> {
    for (let done = 0; done < size; ) {
      const at = addr + done;
      const pte = this.peek(at);
      if (pte === undefined) {
        await this.#userPageFault(task, at);
        continue;
      }
      const offset = at % Page.Size;
      const end = Math.min(Page.Size, offset + size - done);
      visit(pte.bytes.subarray(offset, end), done);
      done += end - offset;
    }
  }

  async #userPageFault(task: Task, addr: number): Promise<void> {
    const vma = await this.#lockMmAndFindVma(task, addr);
    try {
      const result = await this.#handleMmFault(task, vma, addr);
      if (result !== "mapped") throw new UserFault(result, addr);
    } finally {
      this.mmapLock.upRead(task);
    }
  }

  /** mmap_lock is held shared afterwards. */
  async #lockMmAndFindVma(task: Task, addr: number): Promise<Vma | undefined> {
    if (!this.mmapLock.tryDownRead(task)) await this.mmapLock.downRead(task);
    return this.#find(addr);
  }

  async #handleMmFault(task: Task, vma: Vma | undefined, addr: number): Promise<FaultResult> {
    this.mmapLock.assertHeld(task);
    if (vma === undefined) return "SIGSEGV";
    if (this.peek(addr) !== undefined) return "mapped";
    const install = (folio: Folio): void => this.#install(addr, folio);
    if (vma.backing instanceof FolioPool) return faultAnonymous(vma.backing, install);
    return vma.backing.fault(task, vma.indexOf(addr), install);
  }

  #install(addr: number, folio: Folio): void {
    const page = Math.floor(addr / Page.Size);
    if (this.#ptes.has(page)) folio.put();
    else this.#ptes.set(page, folio);
  }

  /** Unmaps user pages `[first, end)`, numbers of pages. */
  #zap(task: Task, first: number, end: number): void {
    const zapped: number[] = [];
    for (let page = first; page < end; page++) if (this.#ptes.has(page)) zapped.push(page);
    if (zapped.length === 0) return;
    const range = [task, first * Page.Size, end * Page.Size] as const;
    for (const notifier of this.#notifiers) notifier.invalidateRangeStart(...range);
    for (const page of zapped) {
      this.#ptes.get(page)?.put();
      this.#ptes.delete(page);
    }
    for (const notifier of this.#notifiers) notifier.invalidateRangeEnd(...range);
  }

  #find(addr: number): Vma | undefined {
    for (const vma of this.#vmas) if (vma.contains(addr)) return vma;
    return undefined;
  }
}
