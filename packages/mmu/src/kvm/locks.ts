import { LockClass, type Lockdep, Mutex, RwSpinLock, Srcu, type Task } from "@vm/lockdep";

const KVM_LOCK = new LockClass("&kvm->lock");
const VCPU_MUTEX = new LockClass("&vcpu->mutex");
const SLOTS_LOCK = new LockClass("&kvm->slots_lock");
const SLOTS_ARCH_LOCK = new LockClass("&kvm->slots_arch_lock");
const MMU_LOCK = new LockClass("&(kvm)->mmu_lock");
const SRCU = new LockClass("&kvm->srcu");

/**
 * The locks of one VM. Order, outermost first (linux, Documentation/virt/kvm/locking.rst): lock, the vCPUs' mutexes, slotsLock, a guest_memfd's
 * invalidate_lock, mmuLock. slotsLock is not taken inside an srcu read section, for who holds it waits for grace periods; slotsArchLock is.
 */
export class VmLocks {
  readonly lock: Mutex;
  readonly slotsLock: Mutex;
  readonly slotsArchLock: Mutex;
  /** Innermost; nothing awaits in it. Faults take it shared, invalidation exclusively. */
  readonly mmuLock: RwSpinLock;
  /** Readers use the memslots that were current when they entered. */
  readonly srcu: Srcu;
  readonly #vcpus: Mutex[] = [];

  constructor(readonly lockdep: Lockdep) {
    this.lock = new Mutex(lockdep, KVM_LOCK);
    this.slotsLock = new Mutex(lockdep, SLOTS_LOCK);
    this.slotsArchLock = new Mutex(lockdep, SLOTS_ARCH_LOCK);
    this.mmuLock = new RwSpinLock(lockdep, MMU_LOCK);
    this.srcu = new Srcu(lockdep, SRCU);
  }

  /** The mutex of a new vCPU, held while one of its ioctls runs. */
  addVcpu(): Mutex {
    const mutex = new Mutex(this.lockdep, VCPU_MUTEX);
    this.#vcpus.push(mutex);
    return mutex;
  }

  /** Runs `body` with every vCPU's mutex, taken by index; the caller has {@link lock}, which keeps others from doing the same. */
  async withAllVcpus<T>(task: Task, body: () => T | Promise<T>): Promise<T> {
    this.lock.assertHeld(task);
    const taken: Mutex[] = [];
    try {
      for (const mutex of [...this.#vcpus]) {
        await mutex.lock(task, { nest: this.lock });
        taken.push(mutex);
      }
      return await body();
    } finally {
      for (const mutex of taken.reverse()) mutex.unlock(task);
    }
  }
}
