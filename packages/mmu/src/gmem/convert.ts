/** KVM_SET_MEMORY_ATTRIBUTES2 on a guest_memfd: its pages become private or shared where they are. Source: guest_memfd in-place conversion, v7. */
import type { Task } from "@vm/lockdep";
import { Page } from "../bits.js";
import { KvmError } from "../kvm/errors.js";
import { invalidateBegin, invalidateEnd, PRIVATE, SHARED } from "../kvm/invalidate.js";
import { MemoryAttribute } from "./attribute-map.js";
import { supportedAttributes } from "./attributes.js";
import type { GuestMemfd } from "./guest-memfd.js";

export interface SetMemoryAttributes2 {
  /** First byte of the guest_memfd and bytes: multiples of 4096, size more than 0. */
  readonly offset: number;
  readonly size: number;
  /** {@link MemoryAttribute} bits. */
  readonly attributes: number;
  /** 0. */
  readonly flags?: number;
}

/** EAGAIN: the page at `errorOffset` is referred to from elsewhere, say pinned for I/O; nothing has changed. */
export class ConversionError extends KvmError {
  override readonly name = "ConversionError";

  constructor(
    /** Byte of the guest_memfd; not before the range that was asked for. */
    readonly errorOffset: number,
  ) {
    super("EAGAIN", `the page at offset ${errorOffset} is in use`);
  }
}

/** @throws KvmError ENOTTY if attributes are those of VMs, EINVAL; ConversionError */
export async function setMemoryAttributes2(task: Task, file: GuestMemfd, desc: SetMemoryAttributes2): Promise<void> {
  const { inode, vm } = file;
  if (vm.params.vmMemoryAttributes)
    throw new KvmError("ENOTTY", "attributes are set on VMs on this host (vmMemoryAttributes is on)");
  const { offset, size, attributes, flags = 0 } = desc;
  if (flags !== 0 || (attributes & ~supportedAttributes(vm)) !== 0)
    throw new KvmError("EINVAL", `attributes 0x${attributes.toString(16)}, flags 0x${flags.toString(16)}`);
  const start = offset / Page.Size;
  const end = (offset + size) / Page.Size;
  if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end <= start || end > inode.pages)
    throw new KvmError("EINVAL", `${size} bytes at ${offset}: not pages of the guest_memfd's ${inode.pages}`);
  await inode.invalidateLock.write(task, () => convert(task, file, start, end, attributes));
}

function convert(task: Task, { inode }: GuestMemfd, start: number, end: number, attributes: number): void {
  if (inode.attributes.uniform(start, end, attributes)) return;
  const toPrivate = (attributes & MemoryAttribute.Private) !== 0;
  if (toPrivate) {
    inode.unmapUser(task, start, end);
    const used = inode.firstReferenced(start, end);
    if (used !== undefined) throw new ConversionError(used * Page.Size);
  }
  const old = toPrivate ? SHARED : PRIVATE;
  for (const file of inode.files) invalidateBegin(task, file.vm, file.gfns(start, end), old);
  inode.attributes.set(start, end, attributes);
  for (const file of inode.files) invalidateEnd(task, file.vm, file.gfns(start, end));
}
