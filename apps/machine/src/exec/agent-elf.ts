import { AGENT_BASE, AGENT_END } from "./agent-abi.js";

const ELF_HEADER = 64;
const PROGRAM_HEADER = 56;

/** Where the code lies in memory: behind the headers, which are loaded with it. */
export const CODE = AGENT_BASE + ELF_HEADER + PROGRAM_HEADER;

/** An executable of one segment, which is loaded whole and continues as zeros to the end of the agent's memory (ELF-64, x86-64 psABI). */
export function elf(code: Uint8Array): Uint8Array {
  const file = new Uint8Array(ELF_HEADER + PROGRAM_HEADER + code.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setUint32(20, 1, true);
  view.setUint32(24, CODE, true);
  view.setUint32(32, ELF_HEADER, true);
  view.setUint16(52, ELF_HEADER, true);
  view.setUint16(54, PROGRAM_HEADER, true);
  view.setUint16(56, 1, true);
  const segment = ELF_HEADER;
  view.setUint32(segment, 1, true);
  view.setUint32(segment + 4, 7, true);
  view.setUint32(segment + 16, AGENT_BASE, true);
  view.setUint32(segment + 24, AGENT_BASE, true);
  view.setUint32(segment + 32, file.length, true);
  view.setUint32(segment + 40, AGENT_END - AGENT_BASE, true);
  view.setUint32(segment + 48, 4096, true);
  file.set(code, ELF_HEADER + PROGRAM_HEADER);
  return file;
}
