import type { CodeBits } from "./initial-state.js";

/** A deterministic stream of numbers. */
export type Draw = (below: number) => number;

/** Instructions that leave every register, flag and byte of memory as they are, in 64-bit mode; `r` is a register number 0 to 15. */
const NEUTRAL_64: readonly ((r: number) => readonly number[])[] = [
  () => [0x90],
  () => [0x66, 0x90],
  () => [0x0f, 0x1f, 0x40, 0x00],
  () => [0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
  // MOV r, r of 64 bits.
  (r) => [r > 7 ? 0x4d : 0x48, 0x89, 0xc0 | ((r & 7) << 3) | (r & 7)],
  // LEA r, [r + 0], except of RSP and R12, which need a SIB byte.
  (r) => ((r & 7) === 4 ? [0x48, 0x8d, 0x24, 0x24] : [r > 7 ? 0x4d : 0x48, 0x8d, 0x40 | ((r & 7) << 3) | (r & 7), 0]),
  // XCHG r, r of 64 bits.
  (r) => [r > 7 ? 0x4d : 0x48, 0x87, 0xc0 | ((r & 7) << 3) | (r & 7)],
  // MOVAPS x, x and PAND x, x.
  (r) => [...(r > 7 ? [0x45] : []), 0x0f, 0x28, 0xc0 | ((r & 7) << 3) | (r & 7)],
  (r) => [0x66, ...(r > 7 ? [0x45] : []), 0x0f, 0xdb, 0xc0 | ((r & 7) << 3) | (r & 7)],
];

const NEUTRAL_32: readonly ((r: number) => readonly number[])[] = [
  () => [0x90],
  () => [0x66, 0x90],
  () => [0x0f, 0x1f, 0x40, 0x00],
  (r) => [0x89, 0xc0 | ((r & 7) << 3) | (r & 7)],
  (r) => [0x66, 0x87, 0xc0 | ((r & 7) << 3) | (r & 7)],
  (r) => ((r & 7) === 4 ? [0x8d, 0x24, 0x24] : [0x8d, 0x40 | ((r & 7) << 3) | (r & 7), 0]),
  (r) => [0x0f, 0x28, 0xc0 | ((r & 7) << 3) | (r & 7)],
];

/** A neutral instruction. */
export function neutral(draw: Draw, bits: CodeBits = 64): readonly number[] {
  const table = bits === 64 ? NEUTRAL_64 : NEUTRAL_32;
  return (table[draw(table.length)] as (typeof table)[number])(draw(16));
}

/** One instruction among neutral ones. */
export interface Padded {
  readonly bytes: Uint8Array;
  /** Bytes and instructions before it, and bytes behind it. */
  readonly lead: number;
  readonly before: number;
  readonly tail: number;
  /** Instructions in all. */
  readonly count: number;
}

/** Puts `code` at a random place among one to seven neutral instructions. */
export function pad(code: Uint8Array, draw: Draw, bits: CodeBits = 64): Padded {
  const count = 2 + draw(7);
  const before = draw(count);
  const several = (n: number): readonly number[] => Array.from({ length: n }, () => neutral(draw, bits)).flat();
  const lead = several(before);
  const tail = several(count - 1 - before);
  return { bytes: Uint8Array.from([...lead, ...code, ...tail]), lead: lead.length, before, tail: tail.length, count };
}
