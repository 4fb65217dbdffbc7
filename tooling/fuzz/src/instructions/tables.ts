import type { Random } from "../random.js";
import * as L from "./layout.js";
import type { Mode } from "./start.js";

/** Writes 8 bytes of guest memory. */
export type WriteQword = (gpa: number, lo: number, hi: number) => void;

/** Selectors of the descriptors that every GDT begins with. */
export const Selector = {
  Code64: 0x08,
  Data: 0x10,
  UserData: 0x1b,
  UserCode64: 0x23,
  Code32: 0x28,
  Data16: 0x30,
  Code16: 0x38,
  UserCode32: 0x43,
  Tss: 0x48,
  Ldt: 0x58,
  Conforming: 0x68,
  CallGate: 0x70,
  OtherTss: 0x80,
  TaskGate: 0x90,
} as const;

const FLAT = 0xffff;
/** Descriptor halves [lo, hi] by index; SDM vol. 3, 3.4.5, 3.5 and 5.8.3. */
function descriptors(mode: Mode): readonly (readonly [number, number])[] {
  const system = (type: number, base: number, limit: number): readonly [number, number] => [
    (base << 16) | (limit & 0xffff) | 0,
    (base & 0xff000000) | (limit & 0xf0000) | 0x8000 | (type << 8) | ((base >> 16) & 0xff),
  ];
  const target = mode.long ? Selector.Code64 : mode.bits === 16 ? Selector.Code16 : Selector.Code32;
  return [
    [0, 0],
    [FLAT, 0x00af9b00],
    [FLAT, 0x00cf9300],
    [FLAT, 0x00cff300],
    [FLAT, 0x00affb00],
    [FLAT, 0x00cf9b00],
    [FLAT, 0x000f9300],
    [FLAT, 0x000f9b00],
    [FLAT, 0x00cffb00],
    system(mode.wideTss ? 9 : 1, L.TSS, L.TSS_LIMIT),
    [0, 0],
    system(2, L.LDT, 8 * L.LDT_ENTRIES - 1),
    [0, 0],
    [FLAT, mode.long ? 0x00af9f00 : 0x00cf9f00],
    [(target << 16) | (L.HANDLERS & 0xffff), 0xec00],
    [0, 0],
    system(9, L.TSS + 0x200, 0x1ff),
    [0, 0],
    [Selector.OtherTss << 16, 0xe500],
  ];
}

export function writeGdt(random: Random, mode: Mode, write: WriteQword): void {
  const known = descriptors(mode);
  for (let k = 0; k < L.GDT_ENTRIES; k++) {
    const descriptor = known[k];
    if (descriptor !== undefined && !(k > 0 && random.chance(2))) write(L.GDT + 8 * k, ...descriptor);
    else write(L.GDT + 8 * k, random.word(), randomDescriptorHigh(random));
  }
  for (let k = 0; k < L.LDT_ENTRIES; k++) {
    const copied = known[random.below(9)] as readonly [number, number];
    if (random.chance(60)) write(L.LDT + 8 * k, ...copied);
    else write(L.LDT + 8 * k, random.word(), randomDescriptorHigh(random));
  }
}

/** Any type and privilege, mostly present. */
const randomDescriptorHigh = (random: Random): number => random.word() | (random.chance(80) ? 0x8000 : 0);

/** Fills the whole task state: stacks in any format lie where stacks are, mostly. */
export function writeTss(random: Random, mode: Mode, write: WriteQword): void {
  const stack = (): number => L.STACKS + 0x800 + random.below((L.STACKS_END - L.STACKS - 0x800) / 16) * 16;
  for (let at = 0; at < 0x400; at += 8) write(L.TSS + at, random.chance(70) ? stack() : random.word(), random.word());
  if (mode.long) {
    for (let k = 0; k < 3; k++) write4(L.TSS + 4 + 8 * k, stack(), write);
    for (let k = 0; k < 7; k++) write4(L.TSS + 0x24 + 8 * k, stack(), write);
  } else {
    for (let k = 0; k < 3; k++) write(L.TSS + 4 + 8 * k, stack(), Selector.Data | (random.chance(90) ? k : 0));
    write(L.TSS + 0x200 + 0x20, L.CODE, 2);
    write(L.TSS + 0x200 + 0x48, Selector.Data, Selector.Code32);
    write(L.TSS + 0x200 + 0x50, Selector.Data, Selector.Data);
  }
  // The I/O permission map.
  write(L.TSS + 0x60, random.word(), random.chance(80) ? 0x00680000 : random.word());
}

/** A quadword below 4 GiB at an address that is only 4-aligned. */
function write4(gpa: number, value: number, write: WriteQword): void {
  write(gpa, value, 0);
}

export function writeIdt(random: Random, mode: Mode, write: WriteQword): void {
  for (let vector = 0; vector < 256; vector++) {
    const handler = L.HANDLERS + 32 * (vector & 63);
    if (mode.kind === "real") {
      if (vector % 2 === 0) write(4 * vector, handler, L.HANDLERS + 32 * ((vector + 1) & 63));
      continue;
    }
    const code = mode.long ? Selector.Code64 : mode.bits === 16 ? Selector.Code16 : Selector.Code32;
    const selector = random.chance(96) ? code : random.word() & 0xffff;
    const dpl = random.chance(50) ? 3 : random.below(4);
    const type = random.chance(96) ? random.pick([0xe, 0xe, 0xf]) : random.below(32);
    const ist = mode.long && random.chance(10) ? random.below(8) : 0;
    const lo = (selector << 16) | (handler & 0xffff);
    const hi = (handler & 0xffff0000) | (random.chance(98) ? 0x8000 : 0) | (dpl << 13) | (type << 8) | ist;
    if (mode.long) {
      write(L.IDT + 16 * vector, lo, hi);
      write(L.IDT + 16 * vector + 8, random.chance(99) ? 0 : random.word(), 0);
    } else write(L.IDT + 8 * vector, lo, hi);
  }
}

/** Exceptions that push an error code (SDM vol. 3, table 6-1). */
const WITH_ERROR = new Set([8, 10, 11, 12, 13, 14, 17, 21]);

/** Code of the handler of `vector`: goes on a byte further, mostly, so that a stream gets somewhere. */
export function handler(vector: number, random: Random, mode: Mode): readonly number[] {
  if (random.chance(6)) return random.bytes(32);
  const error = WITH_ERROR.has(vector & 31) && vector < 32;
  if (random.chance(5)) return [0xf4, 0xeb, 0xfd];
  const step = vector < 32 && !random.chance(10);
  if (mode.kind === "real" || (!mode.long && mode.bits === 16)) {
    const size = mode.kind === "real" ? 0 : 2;
    // PUSH BP; MOV BP, SP; INC word [BP + 2]; POP BP; IRET
    const next = step ? [0x55, 0x89, 0xe5, 0xff, 0x46, 2, 0x5d] : [];
    return [...(error && size > 0 ? [0x83, 0xc4, 4] : []), ...next, ...(size > 0 ? [0x66] : []), 0xcf];
  }
  if (mode.long)
    return [...(error ? [0x48, 0x83, 0xc4, 8] : []), ...(step ? [0x48, 0xff, 0x04, 0x24] : []), 0x48, 0xcf];
  return [...(error ? [0x83, 0xc4, 4] : []), ...(step ? [0xff, 0x04, 0x24] : []), 0xcf];
}
