/** Lookups of a page of a guest_memfd: by the process that maps it, and by the guest. Linux: kvm_gmem_fault_user_mapping, kvm_gmem_get_pfn. */

import type { Task } from "@vm/lockdep";
import type { KvmParams } from "../kvm/params.js";
import type { BackedSlot, Faultin } from "../kvm/ports.js";
import type { Gfn } from "../units.js";
import { MemoryAttribute } from "./attribute-map.js";
import { Binding, type GmemFile } from "./binding.js";
import type { Folio } from "./folio.js";
import type { FaultResult } from "./vma.js";

export async function faultUserMapping(
  file: GmemFile,
  task: Task,
  index: number,
  install: (folio: Folio) => void,
): Promise<FaultResult> {
  const { invalidateLock } = file.inode;
  if (!file.vm.params.inPlaceConversion) return mapUser(file, index, install);
  await invalidateLock.downRead(task);
  try {
    return mapUser(file, index, install);
  } finally {
    invalidateLock.upRead(task);
  }
}

export function tryFaultUserMapping(
  file: GmemFile,
  task: Task,
  index: number,
  install: (folio: Folio) => void,
): FaultResult | "retry" {
  const { invalidateLock } = file.inode;
  if (!file.vm.params.inPlaceConversion) return mapUser(file, index, install);
  invalidateLock.mightLockShared(task);
  if (!invalidateLock.tryDownRead(task)) return "retry";
  try {
    return mapUser(file, index, install);
  } finally {
    invalidateLock.upRead(task);
  }
}

/** No await from the test of the attribute to the table entry. */
function mapUser({ inode, vm }: GmemFile, index: number, install: (folio: Folio) => void): FaultResult {
  if (index >= inode.pages) return "SIGBUS";
  const shared = vm.params.vmMemoryAttributes
    ? inode.initShared
    : (inode.attributes.at(index) & MemoryAttribute.Private) === 0;
  if (!shared) return "SIGBUS";
  const folio = inode.folio(index);
  if (folio === null || folio.hwpoison) return "SIGBUS";
  folio.clear();
  install(folio.get());
  return "mapped";
}

export async function getPfn(task: Task, params: KvmParams, slot: BackedSlot, gfn: Gfn): Promise<Faultin> {
  const lock = slot.gmem?.invalidateLock;
  if (lock === undefined || !params.inPlaceConversion) return lookup(slot, gfn);
  await lock.downRead(task);
  try {
    return lookup(slot, gfn);
  } finally {
    lock.upRead(task);
  }
}

export function tryGetPfn(task: Task, params: KvmParams, slot: BackedSlot, gfn: Gfn): Faultin {
  const lock = slot.gmem?.invalidateLock;
  if (lock === undefined || !params.inPlaceConversion) return lookup(slot, gfn);
  lock.mightLockShared(task);
  if (!lock.tryDownRead(task)) return { error: "EAGAIN" };
  try {
    return lookup(slot, gfn);
  } finally {
    lock.upRead(task);
  }
}

function lookup(slot: BackedSlot, gfn: Gfn): Faultin {
  const binding = slot.gmem;
  if (!(binding instanceof Binding)) return { error: "EFAULT" };
  const index = binding.pgoff + gfn - slot.gfn;
  if (binding.file.bindingOf(index) !== binding) return { error: "EIO" };
  const folio = binding.file.inode.folio(index);
  if (folio === null) return { error: "ENOMEM" };
  if (folio.hwpoison) return { error: "EHWPOISON" };
  folio.clear();
  return { pfn: folio.pfn, writable: true };
}
