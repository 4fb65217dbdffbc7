import type { Task } from "@vm/lockdep";
import { Page } from "../bits.js";
import { KvmError } from "../kvm/errors.js";
import { BOTH, invalidateBegin, invalidateEnd } from "../kvm/invalidate.js";
import type { GuestMemfd } from "./guest-memfd.js";

/** Modes of fallocate(2); uapi linux/falloc.h. */
export enum Falloc {
  KeepSize = 1 << 0,
  PunchHole = 1 << 1,
}

/**
 * fallocate(2) on a guest_memfd: allocates the pages of `[offset, offset + length)`, or with PunchHole removes them, from the VMs and user
 * mappings too.
 * @throws KvmError EINVAL, EOPNOTSUPP without KeepSize or with another mode, ENOMEM
 */
export async function fallocate(
  task: Task,
  file: GuestMemfd,
  mode: number,
  offset: number,
  length: number,
): Promise<void> {
  if (offset < 0 || length <= 0) throw new KvmError("EINVAL", `fallocate of ${length} bytes at ${offset}`);
  if ((mode & Falloc.KeepSize) === 0 || (mode & ~(Falloc.KeepSize | Falloc.PunchHole)) !== 0)
    throw new KvmError(
      "EOPNOTSUPP",
      `fallocate mode 0x${mode.toString(16)}: a guest_memfd keeps its size, and can have holes`,
    );
  const start = offset / Page.Size;
  const end = (offset + length) / Page.Size;
  if (!Number.isInteger(start) || !Number.isInteger(end))
    throw new KvmError("EINVAL", `fallocate of ${length} bytes at ${offset}: not multiples of 4096`);
  if ((mode & Falloc.PunchHole) !== 0) return punchHole(task, file, start, Math.min(end, file.inode.pages));
  if (end > file.inode.pages) throw new KvmError("EINVAL", `fallocate up to ${offset + length}, of ${file.size} bytes`);
  return allocate(task, file, start, end);
}

async function allocate(task: Task, { inode }: GuestMemfd, start: number, end: number): Promise<void> {
  await inode.invalidateLock.read(task, () => {
    for (let index = start; index < end; index++)
      if (inode.folio(index) === null) throw new KvmError("ENOMEM", `page ${index}: too many removed pages are pinned`);
  });
}

async function punchHole(task: Task, { inode }: GuestMemfd, start: number, end: number): Promise<void> {
  await inode.invalidateLock.write(task, () => {
    for (const file of inode.files) invalidateBegin(task, file.vm, file.gfns(start, end), file.mappable);
    inode.truncate(task, start, end);
    for (const file of inode.files) invalidateEnd(task, file.vm, file.gfns(start, end));
  });
}

/**
 * The memory of a page broke: guests lose it, and whoever comes to it afterwards is told. It stays in the file, so that nobody gets a fresh page in its
 * place (linux, kvm_gmem_error_folio).
 */
export async function memoryFailure(task: Task, { inode }: GuestMemfd, index: number): Promise<void> {
  await inode.invalidateLock.read(task, () => {
    const folio = inode.peek(index);
    if (folio === undefined) return;
    folio.hwpoison = true;
    inode.unmapUser(task, index, index + 1);
    for (const file of inode.files) {
      const gfns = file.gfns(index, index + 1);
      invalidateBegin(task, file.vm, gfns, BOTH);
      invalidateEnd(task, file.vm, gfns);
    }
  });
}
