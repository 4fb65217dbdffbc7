import type { Random } from "../random.js";
import { dear } from "./dear.js";

/** Where the program lies, guest-physical, which is linear as well: the boot protocol's identity map. */
const LOAD = 0x100000;
const IDT = LOAD;
const ENTRY = LOAD + 0x1000;
const STACK = 0x300000;
const GATES = 256;

/** Pieces of a program, each repeated before the next. */
const MOST_PIECES = 12;
const REPEATS = [1, 100, 5000, 1_000_000];

const le = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, k) => Math.floor(value / 2 ** (8 * k)) & 0xff);

/**
 * A kernel that does, for ever, what costs the host most: an x86-64 ELF file. Interrupts and exceptions start it over, from a stack that
 * is whole.
 */
export function program(random: Random): Uint8Array {
  const code: number[] = [];
  // LIDT [IDTR], which lies behind the gates.
  code.push(0x0f, 0x01, 0x1c, 0x25, ...le(IDT + 16 * GATES - 16, 4));
  const start = code.length;
  code.push(0xbc, ...le(STACK, 4));
  for (let pieces = 1 + random.below(MOST_PIECES); pieces > 0; pieces--) {
    const piece = dear(random);
    // MOV EBP, repeats; again: piece; DEC EBP; JNZ again.
    code.push(0xbd, ...le(random.pick(REPEATS), 4));
    const again = code.length;
    code.push(...piece, 0xff, 0xcd);
    code.push(0x0f, 0x85, ...le(again - (code.length + 6), 4));
  }
  code.push(0xe9, ...le(start - (code.length + 5), 4));
  return elf(Uint8Array.from([...table(ENTRY + start), ...code]), ENTRY);
}

/** 255 interrupt gates to `handler` in the boot protocol's code segment, and the IDTR. */
function table(handler: number): number[] {
  const gate = [...le(handler & 0xffff, 2), 0x10, 0, 0, 0x8e, ...le(handler >>> 16, 2), 0, 0, 0, 0, 0, 0, 0, 0];
  const gates = Array.from({ length: GATES - 1 }, () => gate).flat();
  return [...gates, ...le(16 * (GATES - 1) - 1, 2), ...le(IDT, 8), 0, 0, 0, 0, 0, 0];
}

/** One segment at {@link LOAD}. */
function elf(bytes: Uint8Array, entry: number): Uint8Array {
  const HEADERS = 128;
  const file = new Uint8Array(HEADERS + bytes.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setUint32(24, entry, true);
  view.setUint32(32, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true);
  view.setUint32(72, HEADERS, true);
  view.setUint32(80, LOAD, true);
  view.setUint32(88, LOAD, true);
  view.setUint32(96, bytes.length, true);
  view.setUint32(104, bytes.length, true);
  file.set(bytes, HEADERS);
  return file;
}
