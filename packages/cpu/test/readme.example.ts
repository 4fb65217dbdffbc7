import { CodeCache, CpuidTable, generateInterpreter, Status, Vcpu } from "@vm/cpu";

const memory = new WebAssembly.Memory({ initial: 256, maximum: 256 });
const frame = 0xff0000; // one frame of 4 KiB, behind every address; what it may be used for: reading, writing, fetching
const mmu = {
  translation: { host: frame, gfn: 0, licence: 7, global: false, large: false, errorCode: 0 },
  translate: () => Status.Ok,
};
const bus = { ioRead: () => 0, ioWrite: () => {}, mmioRead: () => 0, mmioWrite: () => {}, mmioHigh: 0 };
const no = () => false;
const apic = { hasInterrupt: no, acknowledge: () => -1, cr8: 0, readMsr: no, writeMsr: no, msrLo: 0, msrHi: 0 };
const ports = { mmu, bus, apic, clock: { tsc: () => 0 }, entropy: { random: () => 4 }, cpuid: new CpuidTable() };
const interpreter = new WebAssembly.Module(generateInterpreter());
const code = new CodeCache(memory, 0x200000, 0x400000);
const vcpu = new Vcpu({ id: 0, memory, base: 0x10000, code, interpreter, ports, bootstrap: true });
// At the reset vector, in real mode: mov al, 6; mov bl, 7; mul bl; hlt.
new Uint8Array(memory.buffer).set([0xb0, 6, 0xb3, 7, 0xf6, 0xe3, 0xf4], frame + 0xff0);
console.log(`${vcpu.run(100).reason}: AX = ${vcpu.regLo(0)} after ${vcpu.retired} instructions`);
