import { Reg } from "./local-apic-registers.js";
import { read } from "./state.js";

const MASKED = 1 << 16;

/** What each entry keeps of a write, from {@link Reg.LvtTimer} on: the defined, writable bits (SDM 3A figure 11-8). */
export const LVT_WRITABLE: readonly number[] = [0x7_00ff, 0x1_07ff, 0x1_07ff, 0x1_a7ff, 0x1_a7ff, 0x1_00ff];

export const readLvt = read.tuple(...LVT_WRITABLE.map((mask) => read.bits(mask)));

/** Bits that are read-only (delivery status, remote IRR): written 1s are ignored, not reserved. */
export const LVT_READ_ONLY = 0x5000;

/**
 * The local vector table (SDM 3A 11.5.1): timer, thermal, perf, LINT0, LINT1 and error, addressed by register number.
 * Timer and error entries have no delivery mode: those bits read 0, which is fixed.
 */
export class LocalVectorTable {
  readonly #entries = new Uint32Array(LVT_WRITABLE.length).fill(MASKED);

  /** True if `reg` is an entry's register number. */
  has(reg: number): boolean {
    return reg >= Reg.LvtTimer && reg <= Reg.LvtError;
  }

  get(reg: number): number {
    return this.#entries[reg - Reg.LvtTimer] ?? 0;
  }

  /** Writes an entry. While the APIC is software-disabled (`forceMask`) it cannot be unmasked. */
  set(reg: number, value: number, forceMask: boolean): void {
    this.#entries[reg - Reg.LvtTimer] = (value & (LVT_WRITABLE[reg - Reg.LvtTimer] ?? 0)) | (forceMask ? MASKED : 0);
  }

  isMasked(reg: number): boolean {
    return (this.get(reg) & MASKED) !== 0;
  }

  mask(reg: number): void {
    this.#entries[reg - Reg.LvtTimer] = this.get(reg) | MASKED;
  }

  maskAll(): void {
    for (let reg = Reg.LvtTimer as number; reg <= Reg.LvtError; reg++) this.mask(reg);
  }

  reset(): void {
    this.#entries.fill(MASKED);
  }

  save(): number[] {
    return [...this.#entries];
  }

  /** @throws {StateError} */
  restore(entries: readonly number[]): void {
    this.#entries.set(readLvt(entries));
  }
}
