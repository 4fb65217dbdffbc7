import { builtinGuest } from "@vm/asm";
import type { Vcpu } from "@vm/cpu";
import { POWER_RESET, POWER_RESET_VALUE, POWER_S5_TYPE, POWER_SLEEP_CONTROL } from "@vm/devices";
import type { Mmu } from "@vm/mmu";
import * as L from "../layout.js";
import { enterLinux, writeCommandLine, writeZeroPage } from "./linux.js";

/** SLP_TYP of S5 and SLP_EN of the sleep control register (ACPI 6.5, 4.8.3.7). */
const SLEEP = (POWER_S5_TYPE << 2) | 0x20;

/** Bytes of its command line. */
const COMMAND_LINE_MAX = 2047;

/** Places the guest that comes with the machine, and leaves `vcpu` at its entry. It knows `exec="COMMAND"` on the command line. */
export function loadBuiltinGuest(mmu: Mmu, vcpu: Vcpu, commandLine: string): void {
  const { image, loadAddress, entry } = builtinGuest({
    sleepPort: L.POWER + POWER_SLEEP_CONTROL,
    sleepValue: SLEEP,
    resetPort: L.POWER + POWER_RESET,
    resetValue: POWER_RESET_VALUE,
    statusPort: L.EXIT_STATUS,
  });
  mmu.write(loadAddress, image);
  writeCommandLine(mmu, commandLine, COMMAND_LINE_MAX);
  writeZeroPage(mmu, new Uint8Array(4096));
  enterLinux(mmu, vcpu, { entry, bits: 64, levels: 4 });
}
