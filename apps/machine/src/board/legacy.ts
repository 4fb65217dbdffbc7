import {
  AcpiPm,
  type Clock,
  ELCR_PORTS,
  I8254,
  PIC_PORTS,
  PIT_PORTS,
  PicPair,
  PM_PORTS,
  POWER_S5_TYPE,
  type PortBus,
  SystemControlPort,
} from "@vm/devices";
import * as L from "../layout.js";
import type { Interrupts } from "./interrupts.js";
import type { Parts } from "./parts.js";

export interface LegacyDesc {
  readonly ports: PortBus;
  readonly interrupts: Interrupts;
  readonly clock: Clock;
  readonly parts: Parts;
  /** Without ACPI's fixed hardware, which the board has elsewhere. */
  readonly pci: boolean;
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
export function attachLegacy({
  parts,
  ports,
  interrupts,
  clock,
  pci,
  onRequest,
  onPowerOff,
}: LegacyDesc): LegacyDevices {
  const pics = new PicPair({ onRequest });
  interrupts.connect(pics);
  ports.attach(L.PIC_MASTER, PIC_PORTS, pics.master);
  ports.attach(L.PIC_SLAVE, PIC_PORTS, pics.slave);
  ports.attach(L.ELCR, ELCR_PORTS, pics.elcr);
  const pit = parts.add("pit", new I8254({ clock, irq: interrupts.line(0) }));
  ports.attach(L.PIT, PIT_PORTS, pit);
  ports.attach(L.SYSTEM_CONTROL, 1, parts.add("system-control", new SystemControlPort({ clock, pit })));
  if (!pci) {
    const pm = new AcpiPm({ clock, basePort: L.ACPI_PM, s5Type: POWER_S5_TYPE, onPowerOff });
    ports.attach(L.ACPI_PM, PM_PORTS, parts.add("acpi-pm", pm));
  }
  return { pics, pit };
}
