import type { MemoryImage } from "@vm/mmu";
import type { Machine } from "../src/index.js";
import type { MachineState } from "../src/machine-state.js";
import type { VirtualMachine } from "../src/virtual-machine.js";

/** All of a machine, as it was. */
export interface Saved {
  readonly state: MachineState;
  readonly memory: MemoryImage;
}

/** A copy of a machine that stands still, for which nothing that is done to it counts any more. */
export function saved(machine: VirtualMachine): Saved {
  const { memslots, pages } = machine.memory.save();
  return {
    state: structuredClone(machine.save()),
    memory: { memslots, pages: [...pages].map(({ gfn, bytes }) => ({ gfn, bytes: bytes.slice() })) },
  };
}

/** Saves a machine when it has retired so many instructions; the promise never settles if it ends before. */
export function savedAt(machine: Machine, instructions: number): Promise<Saved> {
  const vm = machine as VirtualMachine;
  return new Promise((resolve) => vm.stopAt(instructions, async () => resolve(saved(vm))));
}

/** Makes `machine`, which is like the one that was saved and has not run, go on where that was. */
export function restore(machine: Machine, { state, memory }: Saved): void {
  const vm = machine as VirtualMachine;
  vm.memory.restore(memory);
  vm.restore(structuredClone(state));
}
