import { builtinGuest } from "@vm/asm";
import type { Vcpu } from "@vm/cpu";
import type { Mmu } from "@vm/mmu";
import * as L from "../layout.js";
import { enterLinux, writeCommandLine, writeZeroPage } from "./linux.js";

/** Where it powers the machine off and resets it. */
export interface PowerPorts {
  /** Port of a byte with SLP_TYP in bits 4:2 and SLP_EN in bit 5. */
  readonly sleepPort: number;
  /** SLP_TYP of the soft-off state. */
  readonly s5Type: number;
  readonly resetPort: number;
  /** What resets the machine when it is written there, a byte. */
  readonly resetValue: number;
}

/** SLP_EN of the sleep control register (ACPI 6.5, 4.8.3.7). */
const SLEEP_ENABLE = 0x20;

/** Bytes of its command line. */
const COMMAND_LINE_MAX = 2047;

/** Places the guest that comes with the machine, and leaves `vcpu` at its entry. It knows `exec="COMMAND"` on the command line. */
export function loadBuiltinGuest(mmu: Mmu, vcpu: Vcpu, commandLine: string, power: PowerPorts): void {
  const { image, loadAddress, entry } = builtinGuest({
    sleepPort: power.sleepPort,
    sleepValue: (power.s5Type << 2) | SLEEP_ENABLE,
    resetPort: power.resetPort,
    resetValue: power.resetValue,
    statusPort: L.EXIT_STATUS,
  });
  mmu.write(loadAddress, image);
  writeCommandLine(mmu, commandLine, COMMAND_LINE_MAX);
  writeZeroPage(mmu, new Uint8Array(4096));
  enterLinux(mmu, vcpu, { entry, bits: 64, levels: 4 });
}
