import type { Clock, PortDevice, PortSize } from "./ports.js";
import { read } from "./state.js";

/** Offsets of the register blocks from the device's base port. */
export const PM1_EVENT = 0;
export const PM1_CONTROL = 4;
export const PM_TIMER = 8;
/** Ports the device takes. */
export const PM_PORTS = 12;

/** Frequency of the timer, Hz. */
const FREQUENCY = 3_579_545;
const ENABLE = PM1_EVENT + 2;
/** SLP_TYP and the scratch bits keep what is written. */
const CONTROL_WRITABLE = 0x1c06;
const readPm = read.record<AcpiPmState>({ enable: read.u16, control: read.bits(CONTROL_WRITABLE) });
const SCI_EN = 1 << 0;
const SLEEP_TYPE_SHIFT = 10;
const SLEEP_ENABLE = 1 << 13;

export interface AcpiPmDesc {
  readonly clock: Clock;
  /** First of the {@link PM_PORTS} ports. */
  readonly basePort: number;
  /** SLP_TYP of the soft-off state, as the DSDT's \_S5 says. */
  readonly s5Type: number;
  /** The guest entered S5. It expects not to run on. */
  readonly onPowerOff: () => void;
}

export interface AcpiPmState {
  readonly enable: number;
  readonly control: number;
}

/**
 * The fixed hardware of an ACPI machine that is not hardware-reduced (ACPI 6.5, 4.8.3): PM1a event block (status, enable), PM1a control
 * block, PM timer of 32 bits at 3.579545 MHz.
 *
 * Emulated: the timer, SLP_TYP with SLP_EN for S5, SCI_EN, which is always set: there is no legacy mode to leave.
 * Not emulated: events. The status register reads 0, so no SCI ever comes, neither for the timer's carry nor for buttons.
 */
export class AcpiPm implements PortDevice {
  readonly ioWidth = 4;
  #enable = 0;
  #control = 0;
  readonly #desc: AcpiPmDesc;

  constructor(desc: AcpiPmDesc) {
    this.#desc = desc;
  }

  ioRead(port: number, size: PortSize): number {
    const offset = port - this.#desc.basePort;
    let value = 0;
    for (let k = 0; k < size; k++) value += this.#byte(offset + k) * 2 ** (8 * k);
    return value;
  }

  ioWrite(port: number, size: PortSize, value: number): void {
    const offset = port - this.#desc.basePort;
    // Byte by byte as well: SLP_EN is in the second byte of its register.
    for (let k = 0; k < size; k++) this.#writeByte(offset + k, (value >>> (8 * k)) & 0xff);
  }

  #byte(offset: number): number {
    if (offset >= PM_TIMER) return (this.#ticks() >>> (8 * (offset - PM_TIMER))) & 0xff;
    if (offset >= PM1_CONTROL + 2) return 0;
    if (offset >= PM1_CONTROL) return ((this.#control | SCI_EN) >>> (8 * (offset - PM1_CONTROL))) & 0xff;
    return offset < ENABLE ? 0 : (this.#enable >>> (8 * (offset - ENABLE))) & 0xff;
  }

  #writeByte(offset: number, value: number): void {
    const inRegister = (register: number): number => 8 * (offset - register);
    if (offset >= PM1_CONTROL && offset < PM1_CONTROL + 2) {
      const bits = inRegister(PM1_CONTROL);
      this.#control = ((this.#control & ~(0xff << bits)) | (value << bits)) & (CONTROL_WRITABLE | SLEEP_ENABLE);
      const sleep = (this.#control & SLEEP_ENABLE) !== 0;
      this.#control &= ~SLEEP_ENABLE;
      if (sleep && ((this.#control >>> SLEEP_TYPE_SHIFT) & 7) === this.#desc.s5Type) this.#desc.onPowerOff();
    } else if (offset >= ENABLE && offset < PM1_CONTROL) {
      const bits = inRegister(ENABLE);
      this.#enable = (this.#enable & ~(0xff << bits)) | (value << bits);
    }
    // A one written to the status register clears what is clear already.
  }

  /** What the timer counts to, modulo 2^32. */
  #ticks(): number {
    return Math.floor((this.#desc.clock.now() * FREQUENCY) / 1e9) >>> 0;
  }

  save(): AcpiPmState {
    return { enable: this.#enable, control: this.#control };
  }

  /** @throws {StateError} */
  restore(saved: AcpiPmState): void {
    const { enable, control } = readPm(saved);
    this.#enable = enable;
    this.#control = control;
  }
}
