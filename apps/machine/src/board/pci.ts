import {
  type AcpiPci,
  ICH9_PM_PORTS,
  Ich9Lpc,
  Ich9Pm,
  type MmioBus,
  PCI_PORT,
  PCI_PORTS,
  PciHost,
  type PciMemory,
  PciWindows,
  type PortBus,
  Q35Mch,
} from "@vm/devices";
import type { Mmu } from "@vm/mmu";
import type { VirtualClock } from "../clock.js";
import * as L from "../layout.js";
import type { Parts } from "./parts.js";

export interface PciDesc {
  readonly parts: Parts;
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  readonly mmu: Pick<Mmu, "memslots">;
  /** Bytes of RAM. */
  readonly ram: number;
  readonly clock: VirtualClock;
  readonly onPowerOff: () => void;
  readonly onReset: () => void;
}

/** The PCI bus of a board. */
export interface PciBus {
  readonly host: PciHost;
  readonly mch: Q35Mch;
  readonly lpc: Ich9Lpc;
  readonly pm: Ich9Pm;
  /** What its functions can decode. */
  readonly memory: PciMemory;
  /** Where that is: guest-physical addresses, the last one not included. */
  readonly window: readonly [number, number];
}

/**
 * Puts what makes a Q35 on the board: its host bridge, the ICH9's LPC bridge with the power management block, and the reset control register. They are
 * set as firmware sets them, since a machine may be without; firmware that sets them again finds nothing else.
 *
 * A guest that moves a window to where something else is, or where the bus is not, has none.
 */
export function attachPci({ parts, ports, mmio, mmu, ram, clock, onPowerOff, onReset }: PciDesc): PciBus {
  const window = L.pciMemory(ram);
  const memory = new PciWindows({
    mmio,
    allowed: ({ base, size }) => {
      const end = base + size;
      if (base < window[0] || end > L.PCI_ECAM + L.PCI_ECAM_SIZE) return false;
      return !mmu.memslots.some((slot) => slot.gpa < end && base < slot.gpa + slot.size);
    },
  });
  const host = parts.add("pci-host", new PciHost({ onReset }));
  ports.attach(PCI_PORT, PCI_PORTS, host);
  const ecam = memory.window(host);
  const mch = parts.add("mch", new Q35Mch({ ecamBase: L.PCI_ECAM, onEcam: (range) => ecam.move(range) }));
  const pm = parts.add("ich9-pm", new Ich9Pm({ clock, onPowerOff }));
  let undoPm: (() => void) | null = null;
  const lpc = new Ich9Lpc({
    pmBase: L.ICH9_PM,
    onPmBase: (base) => {
      undoPm?.();
      const free = base !== null && ports.free(ICH9_PM_PORTS, base, base + ICH9_PM_PORTS) === base;
      undoPm = free ? ports.attach(base, ICH9_PM_PORTS, pm) : null;
    },
  });
  host.attach({ device: 0, function: 0 }, mch);
  host.attach({ device: 31, function: 0 }, parts.add("lpc", lpc));
  return { host, mch, lpc, pm, memory, window };
}

/** The bus as ACPI has it. */
export const acpiOf = (
  { window }: PciBus,
  functions: readonly { readonly pciDevice: number; readonly gsi: number }[],
): AcpiPci => ({
  ecam: { base: L.PCI_ECAM, size: L.PCI_ECAM_SIZE },
  memory: window,
  interrupts: functions.map(({ pciDevice: device, gsi }) => ({ device, gsi })),
});
