import { AcpiPm, type AcpiPmDesc, type AcpiPmState, PM_PORTS } from "../acpi-pm.js";
import type { PortDevice, PortSize } from "../ports.js";

/** Ports of the block, which lies at a multiple of as many. */
export const ICH9_PM_PORTS = 128;
/** SLP_TYP of the soft-off state, which OVMF writes without asking: that of QEMU's machines, not the chip's own 7. */
export const ICH9_S5_TYPE = 0;

/**
 * The power management block of Intel's ICH9 (datasheet, 13.8.3), wherever PMBASE puts it: {@link AcpiPm} at its start.
 *
 * Emulated: PM1_STS, PM1_EN, PM1_CNT, PM1_TMR. Not emulated: general-purpose events, SMI, TCO; their registers read 0.
 */
export class Ich9Pm implements PortDevice {
  readonly #pm: AcpiPm;

  constructor(desc: Omit<AcpiPmDesc, "basePort" | "s5Type">) {
    this.#pm = new AcpiPm({ ...desc, basePort: 0, s5Type: ICH9_S5_TYPE });
  }

  ioRead(port: number, size: PortSize): number {
    const offset = port % ICH9_PM_PORTS;
    return offset + size <= PM_PORTS ? this.#pm.ioRead(offset, size) : 0;
  }

  ioWrite(port: number, size: PortSize, value: number): void {
    const offset = port % ICH9_PM_PORTS;
    if (offset + size <= PM_PORTS) this.#pm.ioWrite(offset, size, value);
  }

  save(): AcpiPmState {
    return this.#pm.save();
  }

  restore(state: AcpiPmState): void {
    this.#pm.restore(state);
  }
}
