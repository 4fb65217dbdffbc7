import type { PortDevice, PortSize } from "./ports.js";
import { read } from "./state.js";

/** Offsets of the three registers from the device's base port. */
export const POWER_SLEEP_CONTROL = 0;
export const POWER_SLEEP_STATUS = 1;
export const POWER_RESET = 2;
/** Ports the device takes. */
export const POWER_PORTS = 3;
/** What the FADT tells the guest to write to the reset register. */
export const POWER_RESET_VALUE = 0x01;
/** SLP_TYP of the soft-off state, as the DSDT's \_S5 says. */
export const POWER_S5_TYPE = 5;

export interface PowerControlDesc {
  /** First of the {@link POWER_PORTS} ports. */
  readonly basePort: number;
  /** The guest entered S5. It expects not to run on. */
  readonly onPowerOff: () => void;
  /** The guest asked for a reset of the machine. */
  readonly onReset: () => void;
}

const SLEEP_ENABLE = 0x20;
const nothing = read.record<Record<string, never>>({});

/**
 * The sleep and reset registers of a hardware-reduced ACPI machine (ACPI 6.5, 4.8.3.6 reset register, 4.8.3.7 sleep control
 * and status), one byte-wide port each.
 *
 * Sleep control: SLP_TYPx in bits 4:2, SLP_EN in bit 5 (write-only; the register reads 0).
 * Sleep status: WAK_STS in bit 7, never set: no sleeping state of this machine is left again.
 * Reset: the value {@link POWER_RESET_VALUE} resets; reads 0.
 *
 * Emulated: S5 and reset. Not emulated: S1-S4; a request for them does nothing. The device has no state.
 */
export class PowerControl implements PortDevice {
  readonly ioWidth = 1;
  readonly #desc: PowerControlDesc;

  constructor(desc: PowerControlDesc) {
    this.#desc = desc;
  }

  ioRead(_port: number, _size: PortSize): number {
    return 0;
  }

  ioWrite(port: number, _size: PortSize, value: number): void {
    const register = port - this.#desc.basePort;
    if (register === POWER_SLEEP_CONTROL) {
      if ((value & SLEEP_ENABLE) !== 0 && ((value >> 2) & 7) === POWER_S5_TYPE) this.#desc.onPowerOff();
    } else if (register === POWER_RESET && (value & 0xff) === POWER_RESET_VALUE) this.#desc.onReset();
  }

  /** Nothing to save: the registers hold no state. */
  save(): Record<string, never> {
    return {};
  }

  /** @throws {StateError} */
  restore(state: Record<string, never>): void {
    nothing(state);
  }
}
