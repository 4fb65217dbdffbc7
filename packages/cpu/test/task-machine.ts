import { CODE, GDT, TSS } from "./fake-machine.js";
import { CODE_AT, DATA_AT, descriptor, FREE, gate, type Level, ProtectedMachine } from "./protected-machine.js";

/** The other task's TSS, and that of the task that handles faults, with their descriptors; a gate to the other task. */
export const OTHER = TSS + 0x100;
export const HANDLER = TSS + 0x200;
export const OTHER_TSS = FREE;
export const HANDLER_TSS = FREE + 8;
export const GATE = FREE + 0x10;
export const LDT = FREE + 0x18;
/** Descriptors for rows to spoil. */
export const SPARE = FREE + 0x20;

export const START = 0x12000;
export const HANDLE = 0x13000;
export const OTHER_SP = 0xe000;
const HANDLER_SP = 0xf000;

/** Offsets in a 32-bit TSS (SDM vol. 3, figure 7-2). */
export const F = {
  link: 0,
  cr3: 0x1c,
  eip: 0x20,
  eflags: 0x24,
  eax: 0x28,
  esp: 0x38,
  es: 0x48,
  cs: 0x4c,
  ss: 0x50,
  ds: 0x54,
  fs: 0x58,
  gs: 0x5c,
  ldt: 0x60,
  trap: 0x64,
} as const;
export type Fields = Partial<Record<keyof typeof F, number>>;

export function fill(m: ProtectedMachine, at: number, fields: Fields): void {
  for (const [name, value] of Object.entries(fields)) m.d32(at + F[name as keyof typeof F], value);
}

export const segmentsOf = (level: Level): Fields => {
  const data = DATA_AT[level];
  return { cs: CODE_AT[level], ss: data, ds: data, es: data, fs: data, gs: data };
};

/** Code at `level`, and another task that starts at `START` with EAX to EDI of 0xa0 to 0xa7. */
export function machine(level: Level = 0): ProtectedMachine {
  const m = new ProtectedMachine(level);
  m.describe(OTHER_TSS, descriptor(OTHER, 0x67, 0x89));
  m.describe(HANDLER_TSS, descriptor(HANDLER, 0x67, 0x89));
  m.describe(GATE, gate(OTHER_TSS, 0, 0xe5));
  m.describe(LDT, descriptor(0xd000, 0x17, 0x82));
  for (let r = 0; r < 8; r++) m.d32(OTHER + F.eax + 4 * r, 0xa0 + r);
  fill(m, OTHER, { ...segmentsOf(0), eip: START, eflags: 2, esp: OTHER_SP, cr3: 0x77000, fs: 0 });
  fill(m, HANDLER, { ...segmentsOf(0), eip: HANDLE, eflags: 2, esp: HANDLER_SP, cr3: 0x78000 });
  m.assemble(START, (a) => a.iretd(), 32);
  m.assemble(HANDLE, (a) => a.hlt(), 32);
  return m;
}
export const field = (m: ProtectedMachine, at: number, name: keyof typeof F): number =>
  m.view.getUint32(at + F[name], true);
export const busy = (m: ProtectedMachine, selector: number): boolean =>
  ((m.ram[GDT + selector + 5] as number) & 2) !== 0;
/** Behind the direct far branch in 32-bit code at `CODE`. */
export const NEXT = CODE + 7;
