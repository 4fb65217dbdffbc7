import { type ApicBus, IO_APIC_PINS, IoApic, type IrqLine, PIC_LINES, type PicPair } from "@vm/devices";
import { MachineError } from "../error.js";

/** Input of the I/O APIC that IRQ 0 is wired to, as on every PC. */
const TIMER_PIN = 2;
/** What the ISA bus leaves to others, on a machine whose guest may use nothing but two 8259A. */
const ISA_FREE = [5, 6, 7, 10, 11, 12, 14, 15] as const;
/** Above the 16 of the ISA bus, up to the I/O APIC's last. */
const APIC_FREE = [16, 17, 18, 19, 20, 21, 22, 23] as const;

/** The interrupt wires of the board, by global system interrupt: up to 15 as the ISA bus has them, above it of the I/O APIC alone. */
export class Interrupts {
  readonly ioApic: IoApic;
  #pics: PicPair | null = null;
  readonly #taken = new Set<number>();

  constructor(bus: ApicBus) {
    this.ioApic = new IoApic({ bus });
    bus.attachIoApic(this.ioApic);
  }

  /** Wires the ISA bus to a pair of 8259A as well. */
  connect(pics: PicPair): void {
    this.#pics = pics;
  }

  /** The pair of 8259A, null if there is none. */
  get pics(): PicPair | null {
    return this.#pics;
  }

  /** Interrupts that a device can have and that nobody has, lowest first. */
  get free(): readonly number[] {
    return (this.#pics === null ? APIC_FREE : ISA_FREE).filter((gsi) => !this.#taken.has(gsi));
  }

  /**
   * Takes interrupt `gsi`, or the first free one, for a device that drives it alone, level-triggered or edge-triggered and active-high.
   * @throws {MachineError} `taken` if it is not {@link free}, `exhausted` if none is
   */
  take(gsi: number | undefined = this.free[0]): { readonly gsi: number; readonly line: IrqLine } {
    if (gsi === undefined) throw new MachineError("exhausted", "no interrupt is left for another device");
    if (!this.free.includes(gsi))
      throw new MachineError("taken", `interrupt ${gsi} is not free; free are ${this.free.join(", ") || "none"}`);
    this.#taken.add(gsi);
    return { gsi, line: this.line(gsi) };
  }

  /** The wire of an interrupt, whoever else drives it. */
  line(gsi: number): IrqLine {
    const pin = this.ioApic.line(gsi === 0 ? TIMER_PIN : gsi);
    if (this.#pics === null || gsi >= PIC_LINES) return pin;
    const input = this.#pics.line(gsi);
    return {
      set(level) {
        input.set(level);
        pin.set(level);
      },
    };
  }

  /** Every wire. */
  lines(): readonly IrqLine[] {
    return Array.from({ length: IO_APIC_PINS }, (_, gsi) => this.line(gsi));
  }
}
