import { Lockdep, Task } from "@vm/lockdep";
import { createRegion, GmemFlag, GuestMemfd, Mmu } from "@vm/mmu";
import { MachineError } from "./error.js";
import { type HostLayout, hostLayout } from "./layout.js";

/**
 * What guest RAM is made of: memory of the machine's own, or a guest_memfd that the host has mapped too, all of it shared. The guest
 * sees no difference.
 */
export type MemoryBackend = "anonymous" | "guest-memfd";

export interface RamOptions {
  readonly cpus: number;
  /** Bytes, a multiple of 4096. */
  readonly ram: number;
  readonly backend: MemoryBackend;
  /** Validates the locks of guest memory. */
  readonly lockdep: Lockdep | undefined;
}

/** The one memory of the machine, with RAM from guest-physical address 0. */
export interface GuestRam {
  readonly memory: WebAssembly.Memory;
  readonly layout: HostLayout;
  readonly mmu: Mmu;
  /** Who runs the machine, for what waits for locks. */
  readonly task: Task;
}

/** @throws {MachineError} if the host has not so much address space */
export async function allocateRam({ cpus, ram, backend, lockdep }: RamOptions): Promise<GuestRam> {
  const layout = hostLayout(cpus, ram);
  const memory = allocateMemory(layout.pages);
  const validator = lockdep ?? new Lockdep({ enabled: false });
  const mmu = new Mmu({ memory, arenaStart: layout.frames[0], arenaEnd: layout.frames[1], lockdep: validator });
  const task = new Task(validator, "vm");
  if (backend === "anonymous") mmu.setMemslot({ slot: 0, gpa: 0, size: ram });
  else await bindRam(mmu, task, ram);
  return { memory, layout, mmu, task };
}

async function bindRam({ vm }: Mmu, task: Task, size: number): Promise<void> {
  const gmem = GuestMemfd.create(vm, { size, flags: GmemFlag.Mmap | GmemFlag.InitShared });
  const userAddr = await vm.mm.mmap(task, { length: size, file: gmem });
  await createRegion(task, vm, vm.slots, { slot: 0, gpa: 0, size, userAddr, gmem, offset: 0 });
}

/** @throws {MachineError} if the host has not so much address space */
export function allocateMemory(pages: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch (cause) {
    throw new MachineError("exhausted", `the host cannot give the machine ${pages / 16} MiB of memory`, { cause });
  }
}
