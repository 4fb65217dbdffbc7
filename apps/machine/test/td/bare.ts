import { type Assembler, eax, ecx, r10d, r11d, r12d, r13d, r14d, r15d } from "@vm/asm";
import { createMachine, type Machine, type MachineOptions, tdx } from "../../src/index.js";
import { elfKernel } from "../elf-kernel.js";

const IO = 30;
/** R10 to R15. */
const MASK = 0xfc00;

/** TDG.VP.VMCALL<Instruction.IO>: writes the byte `value` to `port`. */
export function out(a: Assembler, port: number, value: number): void {
  a.xor(r10d, r10d).mov(r11d, IO).mov(r12d, 1).mov(r13d, 1).mov(r14d, port).mov(r15d, value);
  a.mov(ecx, MASK).xor(eax, eax).tdcall();
}

/** Ends the guest by S5, with `status`. */
export function powerOff(a: Assembler, status: number): void {
  out(a, 0xf4, status);
  out(a, 0x600, 0x34);
}

/** A TD of 16 MiB that runs `write`'s code in 64-bit mode, memory identity-mapped, interrupts off. */
export function tdOf(write: (a: Assembler) => void, options: MachineOptions = {}): Promise<Machine> {
  return createMachine({ memory: 16 << 20, kernel: elfKernel(write), plugins: [tdx()], ...options });
}
