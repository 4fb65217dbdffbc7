/** Memory of a TD and the frames of its host, as simple as can be, under locks like those of `@vm/mmu`. */
import { LockClass, type Lockdep, Mutex, RwSemaphore, RwSpinLock, type Task } from "@vm/lockdep";
import type { KvmTdx } from "../../src/kvm/kvm-tdx.js";
import type { HostPages, PopulateOne, TdMemory, TdVmLocks } from "../../src/kvm/ports.js";

export const PAGE = 4096;
export const MIB = 2 ** 20;

const locks = {
  lock: new LockClass("&kvm->lock"),
  vcpu: new LockClass("&vcpu->mutex"),
  slots: new LockClass("&kvm->slots_lock"),
  mmu: new LockClass("&(kvm)->mmu_lock"),
  invalidate: new LockClass("mapping.invalidate_lock"),
};

/** As those of `@vm/mmu`. */
export class VmLocks implements TdVmLocks {
  readonly lock: Mutex;
  readonly slotsLock: Mutex;
  readonly mmuLock: RwSpinLock;
  readonly vcpus: Mutex[] = [];

  constructor(readonly lockdep: Lockdep) {
    this.lock = new Mutex(lockdep, locks.lock);
    this.slotsLock = new Mutex(lockdep, locks.slots);
    this.mmuLock = new RwSpinLock(lockdep, locks.mmu);
  }

  addVcpu(): Mutex {
    const mutex = new Mutex(this.lockdep, locks.vcpu);
    this.vcpus.push(mutex);
    return mutex;
  }

  async withAllVcpus<T>(task: Task, body: () => T | Promise<T>): Promise<T> {
    const taken = [...this.vcpus];
    for (const mutex of taken) await mutex.lock(task, { nest: this.lock });
    try {
      return await body();
    } finally {
      for (const mutex of taken.reverse()) mutex.unlock(task);
    }
  }
}

/** An errno of the memory's own. */
export class MemoryError extends Error {
  constructor(
    readonly code: string,
    why = "",
  ) {
    super(`${code} ${why}`);
  }
}

/** Private memory of one TD: a mirror with tables of 512 entries, each page filled by populate or by a fault. */
export class Memory implements TdMemory {
  readonly pages = new Map<number, number>();
  readonly #tables = new Set<string>();
  readonly invalidateLock: RwSemaphore;
  vm: KvmTdx | undefined;

  constructor(
    readonly vmLocks: VmLocks,
    readonly frames: HostPages,
  ) {
    this.invalidateLock = new RwSemaphore(vmLocks.lockdep, locks.invalidate);
  }

  async populate(task: Task, { startGfn, source, postPopulate }: PopulateOne): Promise<number> {
    this.vmLocks.slotsLock.assertHeld(task);
    await this.invalidateLock.write(task, async () => {
      const pfn = this.#take();
      try {
        await postPopulate(startGfn, pfn, source === null ? null : { pfn: source / PAGE });
      } finally {
        if (this.pages.get(startGfn) !== pfn) this.frames.free(pfn * PAGE);
      }
    });
    return 1;
  }

  #take(): number {
    const hpa = this.frames.alloc();
    if (hpa === null) throw new MemoryError("ENOMEM");
    return hpa / PAGE;
  }

  async mapPrivatePfn(task: Task, gfn: number, pfn: number, signalPending?: () => boolean): Promise<void> {
    this.vmLocks.slotsLock.assertHeld(task);
    this.invalidateLock.assertHeld(task);
    for (;;) {
      if (signalPending?.()) throw new MemoryError("EINTR");
      const failed = this.map(task, gfn, pfn);
      if (failed === null) return;
      if (failed === "EIO") throw new MemoryError("EIO", this.vm?.bugs.join());
      await Promise.resolve();
    }
  }

  /** Under mmu_lock, shared. */
  map(task: Task, gfn: number, pfn: number): "EBUSY" | "EIO" | null {
    const { sept } = this.vm as KvmTdx;
    return this.vmLocks.mmuLock.read(task, () => {
      if (this.pages.has(gfn)) return "EIO";
      for (let level = 3; level >= 1; level--) {
        const first = gfn - (gfn % 512 ** level);
        const key = `${level}:${first}`;
        if (this.#tables.has(key)) continue;
        const failed = sept.linkSpt(first, level);
        if (failed !== null) return failed;
        this.#tables.add(key);
      }
      const failed = sept.setSpte(gfn, 1, pfn);
      if (failed === null) this.pages.set(gfn, pfn);
      return failed;
    });
  }

  /** What a vCPU's fault does. */
  faultIn(task: Task, gfn: number): "fixed" | "retry" | "memory-fault" {
    const pfn = this.#take();
    const failed = this.map(task, gfn, pfn);
    if (failed === null) return "fixed";
    this.frames.free(pfn * PAGE);
    return failed === "EBUSY" ? "retry" : "memory-fault";
  }

  /** Takes a page from the guest. */
  zap(task: Task, gfn: number): void {
    const pfn = this.pages.get(gfn);
    if (pfn === undefined) return;
    this.vmLocks.mmuLock.write(task, () => this.vm?.sept.removeSpte(gfn, 1, pfn));
    this.pages.delete(gfn);
    if (this.vm?.bugs.length === 0) this.frames.free(pfn * PAGE);
  }

  zapAll(task: Task): void {
    for (const gfn of [...this.pages.keys()]) this.zap(task, gfn);
  }
}

/** A frame allocator that knows what it has given. */
export class Frames implements HostPages {
  readonly taken = new Set<number>();
  readonly #free: number[] = [];
  #next = MIB;
  /** How many are left. */
  left = 100_000;

  alloc(): number | null {
    if (this.left === 0) return null;
    this.left--;
    const hpa = this.#free.pop() ?? this.#next;
    if (hpa === this.#next) this.#next += PAGE;
    this.taken.add(hpa);
    return hpa;
  }

  free(hpa: number): void {
    if (!this.taken.delete(hpa)) throw new Error(`frame 0x${hpa.toString(16)} is free already`);
    this.left++;
    this.#free.push(hpa);
  }
}
