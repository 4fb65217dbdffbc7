import { LockClass, Lockdep, type LockdepOptions, RwSemaphore, Task } from "@vm/lockdep";
import {
  createRegion,
  GmemFlag,
  GuestMemfd,
  type KvmParams,
  MemoryAttribute,
  Mmu,
  populate,
  setMemoryAttributes,
  setMemoryAttributes2,
} from "@vm/mmu";

const PAGE = 4096;
const PAGES = 15;

/** Comm and pid of the process in the report that this was first seen in. */
const COMM = "tdx_vm_huge_pag";
const PID = 3469;

/**
 * A host process that runs a VM A with private memory, which is populated before it runs, and that maps memory which is shared in place: of another, ordinary
 * VM B as in the report, or of A itself. Only then can it really hang, for classes clash where locks do not.
 */
export class DemoHost {
  readonly lockdep: Lockdep;
  readonly #memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  readonly #a: Mmu["vm"];
  /** Content of A's first page, not in memory yet. */
  #source = 0;
  /** Where the shared memory is mapped. */
  #shared = 0;

  private constructor(kvm: Partial<KvmParams>, options: LockdepOptions) {
    this.lockdep = new Lockdep(options);
    const arena = { memory: this.#memory, arenaStart: PAGE, arenaEnd: (1 + PAGES) * PAGE };
    this.#a = new Mmu({ ...arena, privateMemory: "attributes", kvm, lockdep: this.lockdep }).vm;
  }

  /** @param gupInsideInvalidateLock whether populate takes the locks in the old order */
  static async twoVms(gupInsideInvalidateLock: boolean, options: LockdepOptions): Promise<DemoHost> {
    const host = new DemoHost({ gupInsideInvalidateLock }, options);
    await host.#useOtherFileSystems();
    const task = host.thread();
    const gmem = GuestMemfd.create(host.#a, { size: PAGE });
    await host.#prepare(task, gmem);
    await setMemoryAttributes(task, host.#a, { address: 0, size: PAGE, attributes: MemoryAttribute.Private });
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
    const b = new Mmu({ memory, arenaStart: PAGE, arenaEnd: 2 * PAGE, lockdep: host.lockdep }).vm;
    const file = GuestMemfd.create(b, { size: PAGE, flags: GmemFlag.Mmap | GmemFlag.InitShared });
    host.#shared = await host.#a.mm.mmap(task, { length: PAGE, file });
    return host;
  }

  /** @param gupInsideInvalidateLock whether populate takes the locks in the old order */
  static async oneVm(gupInsideInvalidateLock: boolean, options: LockdepOptions): Promise<DemoHost> {
    const host = new DemoHost({ gupInsideInvalidateLock, vmMemoryAttributes: false }, options);
    const task = host.thread();
    const file = GuestMemfd.create(host.#a, { size: 2 * PAGE, flags: GmemFlag.Mmap | GmemFlag.InitShared });
    await host.#prepare(task, file);
    await setMemoryAttributes2(task, file, { offset: 0, size: PAGE, attributes: MemoryAttribute.Private });
    host.#shared = PAGE + (await host.#a.mm.mmap(task, { length: 2 * PAGE, file }));
    return host;
  }

  /** The main thread of the process. */
  thread(): Task {
    return new Task(this.lockdep, COMM, PID);
  }

  /** KVM_TDX_INIT_MEM_REGION of VM A. */
  async initMemRegion(task: Task): Promise<void> {
    const { slotsLock } = this.#a.locks;
    await slotsLock.lock(task);
    try {
      await populate(task, this.#a, {
        startGfn: 0,
        source: this.#source,
        pages: 1,
        postPopulate: async (gfn, pfn, source) => {
          await this.#a.target.mapPrivatePfn(task, gfn, pfn);
          if (source !== null) new Uint8Array(this.#memory.buffer).set(source.bytes, pfn * PAGE);
        },
      });
    } finally {
      slotsLock.unlock(task);
    }
  }

  /** The process writes into shared memory. */
  async touchShared(task: Task): Promise<void> {
    await this.#a.mm.store(task, this.#shared, Uint8Array.of(0xaa));
  }

  /** The process maps more memory. */
  async mapMore(task: Task): Promise<void> {
    await this.#a.mm.mmap(task, { length: PAGE });
  }

  /** Three of them have used their invalidate_lock, so that guest_memfd's is the fourth class of that name. */
  async #useOtherFileSystems(): Promise<void> {
    const init = new Task(this.lockdep, "init", 1);
    for (let k = 0; k < 3; k++) {
      const lock = new RwSemaphore(this.lockdep, new LockClass("mapping.invalidate_lock"));
      await lock.read(init, () => undefined);
    }
  }

  async #prepare(task: Task, gmem: GuestMemfd): Promise<void> {
    const region = { slot: 0, gpa: 0, size: gmem.size, userAddr: null, gmem, offset: 0 };
    await createRegion(task, this.#a, this.#a.slots, region);
    this.#source = await this.#a.mm.mmap(task, { length: PAGE });
  }
}
