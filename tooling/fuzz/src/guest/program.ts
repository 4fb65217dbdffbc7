import type { Random } from "../random.js";
import { dear } from "./dear.js";
import { elf, LOAD } from "./elf.js";

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
