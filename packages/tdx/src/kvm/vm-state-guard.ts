import type { Task } from "@vm/lockdep";
import { KvmTdxError } from "./errors.js";
import type { TdVmLocks } from "./ports.js";

/** A VM whose state changes. */
interface Guarded {
  readonly locks: TdVmLocks;
  /** vCPUs that exist, and those that can be reached. */
  readonly createdVcpus: number;
  readonly onlineVcpus: number;
}

/**
 * Runs `body` with all locks that keep a TD's state as it is: kvm->lock, every vcpu->mutex, slots_lock. Linux: tdx_vm_state_guard.
 * @throws KvmTdxError EBUSY while a vCPU is being created
 */
export function withVmState<T>(task: Task, vm: Guarded, body: () => T | Promise<T>): Promise<T> {
  const { locks } = vm;
  return locks.lock.run(task, () => {
    if (vm.createdVcpus !== vm.onlineVcpus) throw new KvmTdxError("EBUSY", "a vCPU is being created");
    return locks.withAllVcpus(task, () => locks.slotsLock.run(task, body));
  });
}
