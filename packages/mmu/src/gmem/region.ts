/** KVM_SET_USER_MEMORY_REGION2 for memslots over a guest_memfd: created and deleted, never changed. Linux: kvm_set_memory_region. */

import type { Task } from "@vm/lockdep";
import { Page } from "../bits.js";
import { KvmError } from "../kvm/errors.js";
import type { BackedSlot } from "../kvm/ports.js";
import type { Gpa } from "../units.js";
import { GuestMemfd } from "./guest-memfd.js";
import type { SlotTable, Vm } from "./vm.js";

/** A memslot as user space describes it. */
export interface GmemRegion {
  readonly slot: number;
  /** First guest-physical byte and bytes, multiples of 4096. */
  readonly gpa: Gpa;
  readonly size: number;
  /** Where shared memory is in the process; null if there is none, or it is in the guest_memfd. */
  readonly userAddr: number | null;
  readonly gmem: GuestMemfd;
  /** Byte of the guest_memfd that comes first. */
  readonly offset: number;
}

/** Memslots that can be edited, under slots_lock. */
export interface SlotEditor extends SlotTable {
  /** A slot with nothing behind it yet. @throws an error with a `code` if the slot exists, overlaps another or is not valid */
  insert(region: Pick<GmemRegion, "slot" | "gpa" | "size" | "userAddr">): BackedSlot;
  /** Takes the slot out and unmaps it. A fault that looked it up before does not map it any more. */
  remove(slot: BackedSlot): void;
}

/** @throws KvmError as {@link GuestMemfd.bind}, EINVAL for a user address that is not aligned; what `insert` throws */
export async function createRegion(task: Task, vm: Vm, slots: SlotEditor, region: GmemRegion): Promise<void> {
  const { userAddr, gmem, offset } = region;
  if (userAddr !== null && !Number.isInteger(userAddr / Page.Size))
    throw new KvmError("EINVAL", `user address ${userAddr} of memslot ${region.slot}: not a multiple of 4096`);
  if (gmem.vm !== vm) throw new KvmError("EINVAL", `memslot ${region.slot}: the guest_memfd is that of another VM`);
  await vm.locks.slotsLock.run(task, () =>
    gmem.bind(task, offset, region.size / Page.Size, () => slots.insert(region)),
  );
}

/** Waits until no vCPU uses the slot. @throws KvmError EINVAL if there is no such slot */
export async function deleteRegion(task: Task, vm: Vm, slots: SlotEditor, id: number): Promise<void> {
  await vm.locks.slotsLock.run(task, async () => {
    const slot = slots.all.find((one) => one.slot === id);
    if (slot === undefined) throw new KvmError("EINVAL", `there is no memslot ${id}`);
    slots.remove(slot);
    await vm.locks.srcu.synchronize(task);
    await GuestMemfd.unbind(task, slot);
  });
}
