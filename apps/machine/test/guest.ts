import { type Assembler, al, dx } from "@vm/asm";
import { createMachine, type Machine, type MachineOptions } from "../src/index.js";
import { elfKernel } from "./elf-kernel.js";

export { elfKernel, LOAD } from "./elf-kernel.js";

/** Ends the guest by S5. */
export function powerOff(a: Assembler): void {
  a.mov(dx, 0x600).mov(al, 0x34).out(dx, al);
}

/** The engine that the environment variable `VM_TEST_ENGINE` asks for: the same tests are run with several. */
export const ENGINE: Pick<MachineOptions, "engine"> = {
  engine: process.env.VM_TEST_ENGINE as MachineOptions["engine"],
};

/** A machine that runs `write`'s code in 64-bit mode, memory identity-mapped, interrupts off. */
export function machineOf(write: (a: Assembler) => void, options: MachineOptions = {}): Promise<Machine> {
  return createMachine({ memory: 16 << 20, kernel: elfKernel(write), ...ENGINE, ...options });
}

/** Writes to COM1 for ever, as fast as the transmitter says it can. */
export function flood(a: Assembler): void {
  const wait = a.here("wait");
  a.mov(dx, 0x3fd).in(al, dx).test(al, 0x20).jz(wait);
  a.mov(dx, 0x3f8).mov(al, 0x79).out(dx, al).jmp(wait);
}

/** All that the guest prints, as it comes. */
export function transcript(machine: Machine): { text: string } {
  const seen = { text: "" };
  const decoder = new TextDecoder();
  machine.console.onOutput((bytes) => {
    seen.text += decoder.decode(bytes, { stream: true });
  });
  return seen;
}
