/** KVM_SET_MEMORY_ATTRIBUTES on a VM. */
import type { Task } from "@vm/lockdep";
import { Page } from "../bits.js";
import { KvmError } from "../kvm/errors.js";
import { invalidateBegin, invalidateEnd, PRIVATE, SHARED } from "../kvm/invalidate.js";
import { MemoryAttribute } from "./attribute-map.js";
import type { Vm } from "./vm.js";

export interface SetMemoryAttributes {
  /** First guest-physical byte and bytes: multiples of 4096, size more than 0. */
  readonly address: number;
  readonly size: number;
  /** {@link MemoryAttribute} bits. */
  readonly attributes: number;
  /** 0. */
  readonly flags?: number;
}

/** The {@link MemoryAttribute} bits a VM's frames can have (KVM_CAP_MEMORY_ATTRIBUTES). */
export function supportedAttributes({ hasPrivateMem }: Vm): number {
  return hasPrivateMem ? MemoryAttribute.Private : MemoryAttribute.None;
}

/** @throws KvmError ENOTTY if attributes are those of guest_memfds, EINVAL */
export async function setMemoryAttributes(task: Task, vm: Vm, desc: SetMemoryAttributes): Promise<void> {
  if (!vm.params.vmMemoryAttributes)
    throw new KvmError("ENOTTY", "attributes are set on guest_memfds on this host (vmMemoryAttributes is off)");
  const { address, size, attributes, flags = 0 } = desc;
  if (flags !== 0 || (attributes & ~supportedAttributes(vm)) !== 0)
    throw new KvmError("EINVAL", `attributes 0x${attributes.toString(16)}, flags 0x${flags.toString(16)}`);
  const start = address / Page.Size;
  const end = (address + size) / Page.Size;
  if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end <= start || end > vm.attributes.end)
    throw new KvmError("EINVAL", `${size} bytes at ${address}: not guest frames`);
  await vm.locks.slotsLock.run(task, () => {
    if (!vm.attributes.uniform(start, end, attributes)) change(task, vm, start, end, attributes);
  });
}

function change(task: Task, vm: Vm, start: number, end: number, attributes: number): void {
  const old = (attributes & MemoryAttribute.Private) !== 0 ? SHARED : PRIVATE;
  const gfns = vm.slots.all.flatMap(({ gfn, pages }) => {
    const range = { start: Math.max(start, gfn), end: Math.min(end, gfn + pages) };
    return range.start < range.end ? [range] : [];
  });
  invalidateBegin(task, vm, gfns, old);
  vm.attributes.set(start, end, attributes);
  invalidateEnd(task, vm, gfns);
}
