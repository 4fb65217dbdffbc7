import type { Assembler } from "@vm/asm";
import { Lockdep, Task, throwReport } from "@vm/lockdep";
import {
  createRegion,
  GmemFlag,
  GuestMemfd,
  MemoryAttribute,
  Mmu,
  type PrivateMemory,
  setMemoryAttributes2,
} from "@vm/mmu";
import { readKernel } from "../src/boot/kernel.js";
import { loadLinux } from "../src/boot/linux.js";
import type { MachineOptions } from "../src/index.js";
import { hostLayout } from "../src/layout.js";
import { pluginsOf, resolveOptions } from "../src/options.js";
import { Pace } from "../src/pace.js";
import { VirtualMachine } from "../src/virtual-machine.js";
import { elfKernel, powerOff } from "./guest.js";

const PAGE = 4096;

export interface PrivateMachine {
  readonly machine: VirtualMachine;
  /** Makes the pages at these addresses private. */
  hide(...gpas: number[]): Promise<void>;
}

/** A machine that runs `write`'s code and powers off, in a guest_memfd whose pages can be made private. */
export async function privateMachine(
  write: (a: Assembler) => void,
  options: MachineOptions = {},
  privateMemory: PrivateMemory = "attributes",
): Promise<PrivateMachine> {
  const config = resolveOptions({ memory: 16 << 20, clock: "icount", ...options });
  const { ram } = config;
  const layout = hostLayout(config.cpus, ram);
  const memory = new WebAssembly.Memory({ initial: layout.pages, maximum: layout.pages });
  const lockdep = new Lockdep({ onReport: throwReport });
  const task = new Task(lockdep, "vm");
  const [arenaStart, arenaEnd] = layout.frames;
  const kvm = { vmMemoryAttributes: false };
  const mmu = new Mmu({ memory, arenaStart, arenaEnd, lockdep, privateMemory, kvm });
  const gmem = GuestMemfd.create(mmu.vm, { size: ram, flags: GmemFlag.Mmap | GmemFlag.InitShared });
  await createRegion(task, mmu.vm, mmu.vm.slots, { slot: 0, gpa: 0, size: ram, userAddr: null, gmem, offset: 0 });
  const machine = new VirtualMachine(config, options, { memory, layout, mmu, task });
  const { rsdp, vcpus } = machine.board;
  const code = (a: Assembler): void => {
    write(a);
    powerOff(a);
  };
  const pace = new Pace();
  const kernel = await readKernel(elfKernel(code), { unpack: "host", ram, pace });
  const [bootstrap] = vcpus;
  await loadLinux(mmu, bootstrap, { kernel, initrd: null, commandLine: "", ram, rsdp, pace });
  await machine.equip(pluginsOf(options));
  const hide = async (...gpas: number[]): Promise<void> => {
    for (const offset of gpas)
      await setMemoryAttributes2(task, gmem, { offset, size: PAGE, attributes: MemoryAttribute.Private });
  };
  return { machine, hide };
}
