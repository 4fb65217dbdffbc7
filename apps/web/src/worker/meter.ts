import type { MachineStats } from "@vm/machine";
import type { Pulse } from "../protocol.js";

/** Makes of a machine's running totals what happened since the last look. */
export class Meter {
  #instructions = 0;
  #at: number;

  /** @param now ms */
  constructor(now: number) {
    this.#at = now;
  }

  /** @param now ms */
  read(
    { instructions, mips, touchedRamBytes }: Pick<MachineStats, "instructions" | "mips" | "touchedRamBytes">,
    now: number,
  ): Pulse {
    const elapsed = now - this.#at;
    const retired = instructions - this.#instructions;
    this.#instructions = instructions;
    this.#at = now;
    return { mips: elapsed > 0 ? retired / elapsed / 1000 : 0, speed: mips, touched: touchedRamBytes };
  }
}
