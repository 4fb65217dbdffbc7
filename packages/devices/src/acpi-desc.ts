import type { DsdtDesc } from "./acpi-dsdt.js";

/** The machine that the tables describe. */
export interface AcpiDesc extends DsdtDesc {
  /** Guest-physical address at which the image will lie, a multiple of 16 below 4 GiB. */
  readonly base: number;
  /** (x2)APIC ID of every CPU, boot CPU first. IDs from 255 up are described as x2APICs. */
  readonly apicIds: readonly number[];
  readonly localApicAddress: number;
  readonly ioApic: { readonly id: number; readonly address: number; readonly gsiBase: number };
  readonly power: {
    readonly resetPort: number;
    readonly resetValue: number;
    /** The sleep registers of a hardware-reduced machine. */
    readonly sleepControlPort?: number;
    readonly sleepStatusPort?: number;
  };
  /**
   * Guest-physical address, a multiple of 4096, of the page in which processors other than the first wait to be told where to go: there are no INIT and SIPI.
   * Offered in version 0, so that who has been started cannot be taken away again.
   */
  readonly wakeupMailbox?: number;
  /** The machine has `AcpiPm`; absent, it is hardware-reduced. */
  readonly fixedHardware?: {
    /** First port of `AcpiPm`. */
    readonly basePort: number;
    /** ISA interrupt of ACPI's own events, 1 to 15. */
    readonly sci: number;
  };
  /** The machine has the timer and interrupt controllers of a PC: two 8259A and an 8254. Default false. */
  readonly legacyDevices?: boolean;
}
