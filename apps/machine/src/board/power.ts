import {
  type AcpiDesc,
  ICH9_S5_TYPE,
  PCI_RESET_PORT,
  PCI_RESET_VALUE,
  POWER_RESET,
  POWER_RESET_VALUE,
  POWER_S5_TYPE,
  POWER_SLEEP_CONTROL,
  POWER_SLEEP_STATUS,
} from "@vm/devices";
import type { PowerPorts } from "../boot/builtin.js";
import * as L from "../layout.js";

/** Where a guest powers the machine off and resets it. */
export interface Power extends PowerPorts {
  /** The same for ACPI. */
  readonly acpi: Pick<AcpiDesc, "power" | "fixedHardware" | "s5Type">;
}

/** PM1_CNT's second byte (ACPI 6.5, 4.8.3.2.1). */
const PM1_SLEEP = 5;

/** With PCI there is what an ICH9 has, else the registers of a hardware-reduced machine, and beside old devices fixed hardware as well. */
export function powerOf(has: { readonly pci: boolean; readonly legacyDevices: boolean }): Power {
  if (has.pci) {
    const [resetPort, resetValue, s5Type] = [PCI_RESET_PORT, PCI_RESET_VALUE, ICH9_S5_TYPE];
    const acpi = { power: { resetPort, resetValue }, fixedHardware: { basePort: L.ICH9_PM, sci: L.SCI }, s5Type };
    return { sleepPort: L.ICH9_PM + PM1_SLEEP, s5Type, resetPort, resetValue, acpi };
  }
  const [sleepPort, sleepStatusPort] = [L.POWER + POWER_SLEEP_CONTROL, L.POWER + POWER_SLEEP_STATUS];
  const [resetPort, resetValue, s5Type] = [L.POWER + POWER_RESET, POWER_RESET_VALUE, POWER_S5_TYPE];
  const power = { sleepControlPort: sleepPort, sleepStatusPort, resetPort, resetValue };
  const fixed = has.legacyDevices ? { fixedHardware: { basePort: L.ACPI_PM, sci: L.SCI } } : {};
  return { sleepPort, s5Type, resetPort, resetValue, acpi: { power, ...fixed, s5Type } };
}
