import { CHUNK_PAGES, type MemoryImage } from "@vm/mmu";
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

const PAGE = 4096;

/** The same, but memory comes when it is needed: a third of the chunks at once, each of the others after some turns of the event loop. */
export function restoreLate(machine: Machine, { state, memory }: Saved): void {
  const vm = machine as VirtualMachine;
  vm.memory.restore({ memslots: memory.memslots, pages: [] });
  const chunks = new Map<number, Uint8Array>();
  for (const { gfn, bytes } of memory.pages) {
    const number = Math.floor(gfn / CHUNK_PAGES);
    const chunk = chunks.get(number) ?? new Uint8Array(CHUNK_PAGES * PAGE);
    chunk.set(bytes, (gfn % CHUNK_PAGES) * PAGE);
    chunks.set(number, chunk);
  }
  const fetch = async (chunk: number): Promise<Uint8Array> => {
    for (let turns = chunk % 5; turns > 0; turns--) await new Promise(setImmediate);
    return chunks.get(chunk) ?? new Uint8Array(CHUNK_PAGES * PAGE);
  };
  const fetchNow = (chunk: number): Uint8Array | null => (chunk % 3 === 0 ? (chunks.get(chunk) ?? null) : null);
  vm.memory.expect({ fetch, fetchNow }, [...chunks.keys()]);
  vm.restore(structuredClone(state));
}
