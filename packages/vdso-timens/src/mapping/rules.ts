/** What system calls on memory may do with the mappings of a vDSO (`mm/mmap.c`, `mm/mprotect.c`, `mm/mremap.c`, `mm/madvise.c`; recorded from a kernel). */
import { LinuxError } from "../errors.js";
import { type SpecialMapping, VmFlag } from "./special-mapping.js";

/** Pages `[page, page + pages)` of a mapping, within it. A call on more than the mapping counts for each mapping on its own. */
export interface Part {
  readonly page: number;
  readonly pages: number;
}

/** `prot` of mprotect(2); the same bits as those of {@link VmFlag}. */
const PROT = VmFlag.Read | VmFlag.Write | VmFlag.Exec;

/** Flags of mremap(2). */
export enum Mremap {
  MayMove = 1,
  Fixed = 2,
  DontUnmap = 4,
}

const isWhole = (mapping: SpecialMapping, { page, pages }: Part): boolean => page === 0 && pages === mapping.pages;

function checkWhole(mapping: SpecialMapping, part: Part, call: string): void {
  if (!isWhole(mapping, part))
    throw new LinuxError("EINVAL", `${call} of ${part.pages} pages of ${mapping.name}: expected all ${mapping.pages}`);
}

/** munmap(2), also what a mmap(2) to a fixed address takes away. @throws LinuxError EINVAL: not all of the mapping */
export function checkMunmap(mapping: SpecialMapping, part: Part): void {
  checkWhole(mapping, part, "munmap");
}

/**
 * mprotect(2).
 * @param prot `PROT_READ` 1, `PROT_WRITE` 2, `PROT_EXEC` 4
 * @returns the mapping from then on
 * @throws LinuxError EACCES: more than the mapping may ever allow; EINVAL: a change of not all of it
 */
export function mprotect(mapping: SpecialMapping, part: Part, prot: number): SpecialMapping {
  const flags = (mapping.flags & ~PROT) | (prot & PROT);
  if (flags === mapping.flags) return mapping;
  // VM_MAYREAD and the others are VM_READ and the others, four bits on.
  if ((flags & PROT & ~(flags >> 4)) !== 0) throw new LinuxError("EACCES", `mprotect of ${mapping.name} with ${prot}`);
  checkWhole(mapping, part, "mprotect");
  return { ...mapping, flags };
}

/**
 * mremap(2). A mapping can move as a whole, which is how a checkpointed program gets it back to where it was.
 * @param newPages how long it is to be
 * @param flags {@link Mremap} bits
 * @returns whether it has to be moved; otherwise it stays
 * @throws LinuxError EINVAL: not all of the mapping, or what mremap never takes; EFAULT: longer
 */
export function mremap(mapping: SpecialMapping, part: Part, newPages: number, flags: number): boolean {
  const { pages } = part;
  const fixed = (flags & Mremap.Fixed) !== 0;
  if ((flags & ~(Mremap.MayMove | Mremap.Fixed)) !== 0 || (fixed && (flags & Mremap.MayMove) === 0))
    throw new LinuxError(
      "EINVAL",
      `mremap of ${mapping.name} with 0x${flags.toString(16)}: expected MAYMOVE, or MAYMOVE and FIXED`,
    );
  if (pages === 0 || newPages === 0)
    throw new LinuxError("EINVAL", `mremap of ${mapping.name}: expected all ${mapping.pages} pages`);
  if (newPages > pages)
    throw new LinuxError("EFAULT", `mremap of ${mapping.name} to ${newPages} pages: it cannot grow`);
  if (newPages < pages) checkWhole(mapping, { page: part.page + newPages, pages: pages - newPages }, "mremap away");
  if (fixed) checkWhole(mapping, part, "mremap");
  return fixed;
}

/** What an advice is about: everything that is not listed is refused. */
const ADVICE: Readonly<Record<number, "anything" | "memory" | "whole" | "dump">> = {
  0: "anything", // MADV_NORMAL
  1: "whole", // MADV_RANDOM
  2: "whole", // MADV_SEQUENTIAL
  3: "anything", // MADV_WILLNEED
  4: "memory", // MADV_DONTNEED
  10: "whole", // MADV_DONTFORK
  11: "memory", // MADV_DOFORK
  12: "anything", // MADV_MERGEABLE
  13: "anything", // MADV_UNMERGEABLE
  14: "whole", // MADV_HUGEPAGE
  15: "whole", // MADV_NOHUGEPAGE
  16: "dump", // MADV_DONTDUMP
  18: "whole", // MADV_WIPEONFORK
  19: "anything", // MADV_KEEPONFORK
  20: "memory", // MADV_COLD
  21: "memory", // MADV_PAGEOUT
  22: "memory", // MADV_POPULATE_READ
  24: "memory", // MADV_DONTNEED_LOCKED
};

/** madvise(2). @param advice `MADV_` number @throws LinuxError EINVAL */
export function checkMadvise(mapping: SpecialMapping, part: Part, advice: number): void {
  const about = ADVICE[advice];
  const changes = about === "whole" || (about === "dump" && (mapping.flags & VmFlag.DontDump) === 0);
  if (changes) checkWhole(mapping, part, "madvise");
  if (about === undefined || (about === "memory" && !isMemory(mapping)))
    throw new LinuxError("EINVAL", `madvise ${advice} of ${mapping.name}`);
}

/** Whether it is memory to others, and not pages of the kernel. */
const isMemory = ({ flags }: SpecialMapping): boolean => (flags & (VmFlag.Io | VmFlag.PfnMap)) === 0;

/**
 * process_vm_readv(2) and process_vm_writev(2).
 * @throws LinuxError EFAULT: pages of the kernel, or not allowed to the task itself
 */
export function checkProcessVm(mapping: SpecialMapping, write: boolean): void {
  if (!isMemory(mapping) || (mapping.flags & (write ? VmFlag.Write : VmFlag.Read)) === 0)
    throw new LinuxError("EFAULT", `process_vm_${write ? "writev" : "readv"} of ${mapping.name}`);
}

/**
 * `/proc/PID/mem`, and so ptrace(2), which may write where the task may not: to a copy.
 * @throws LinuxError EIO: pages of the kernel
 */
export function checkProcMem(mapping: SpecialMapping, write: boolean): void {
  if (!isMemory(mapping) || (mapping.flags & (write ? VmFlag.MayWrite : VmFlag.MayRead)) === 0)
    throw new LinuxError("EIO", `/proc/PID/mem of ${mapping.name}`);
}
