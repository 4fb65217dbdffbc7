import { Assembler, al, dx } from "@vm/asm";
import { createMachine, type Machine, type MachineOptions } from "../src/index.js";

export const LOAD = 0x100000;

/** An ELF kernel of one segment at 1 MiB whose code `write` assembles; `patch` may spoil it. */
export function elfKernel(write: (a: Assembler) => void): Uint8Array {
  const a = new Assembler({ org: LOAD });
  write(a);
  const code = a.assemble();
  const file = new Uint8Array(128 + code.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setUint32(24, LOAD, true);
  view.setUint32(32, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true);
  view.setUint32(72, 128, true);
  view.setUint32(80, LOAD, true);
  view.setUint32(88, LOAD, true);
  view.setUint32(96, code.length, true);
  view.setUint32(104, code.length + 4096, true);
  file.set(code, 128);
  return file;
}

/** Ends the guest by S5. */
export function powerOff(a: Assembler): void {
  a.mov(dx, 0x600).mov(al, 0x34).out(dx, al);
}

/** A machine that runs `write`'s code in 64-bit mode, memory identity-mapped, interrupts off. */
export function machineOf(write: (a: Assembler) => void, options: MachineOptions = {}): Promise<Machine> {
  return createMachine({ memory: 16 << 20, kernel: elfKernel(write), ...options });
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
