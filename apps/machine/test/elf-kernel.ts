import { Assembler } from "@vm/asm";

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
