import {
  AcpiPm,
  ELCR_PORTS,
  I8254,
  type IoApic,
  type IrqLine,
  PIC_LINES,
  PIC_PORTS,
  PIT_PORTS,
  PicPair,
  PM_PORTS,
  POWER_S5_TYPE,
  type PortBus,
  SystemControlPort,
} from "@vm/devices";
import type { VirtualClock } from "./clock.js";
import * as L from "./layout.js";

/** Input of the I/O APIC that IRQ 0 is wired to, as on every PC. */
const TIMER_PIN = 2;

export interface LegacyDesc {
  readonly ports: PortBus;
  readonly ioApic: IoApic;
  readonly clock: VirtualClock;
  /** INTR rose. */
  readonly onRequest: () => void;
  readonly onPowerOff: () => void;
}

/** The interrupt controllers and the timer that PCs have had since the first. */
export interface LegacyDevices {
  readonly pics: PicPair;
  readonly pit: I8254;
}

/** Puts two 8259A, an 8254, system control port B and ACPI's fixed hardware on the board. */
export function attachLegacy({ ports, ioApic, clock, onRequest, onPowerOff }: LegacyDesc): LegacyDevices {
  const pics = new PicPair({ onRequest });
  ports.attach(L.PIC_MASTER, PIC_PORTS, pics.master);
  ports.attach(L.PIC_SLAVE, PIC_PORTS, pics.slave);
  ports.attach(L.ELCR, ELCR_PORTS, pics.elcr);
  const pit = new I8254({ clock, irq: irqLine(0, ioApic, pics) });
  ports.attach(L.PIT, PIT_PORTS, pit);
  ports.attach(L.SYSTEM_CONTROL, 1, new SystemControlPort({ clock, pit }));
  const pm = new AcpiPm({ clock, basePort: L.ACPI_PM, s5Type: POWER_S5_TYPE, onPowerOff });
  ports.attach(L.ACPI_PM, PM_PORTS, pm);
  return { pics, pit };
}

/** Interrupt request `irq` of the ISA bus or, above 15, of the I/O APIC alone. */
export function irqLine(irq: number, ioApic: IoApic, pics: PicPair | null): IrqLine {
  const pin = ioApic.line(irq === 0 ? TIMER_PIN : irq);
  if (pics === null || irq >= PIC_LINES) return pin;
  const input = pics.line(irq);
  return {
    set(level) {
      input.set(level);
      pin.set(level);
    },
  };
}
