import {
  type ApicFabric,
  decodeMsi,
  type GuestMemory,
  type MmioBus,
  type Turns,
  VIRTIO_MMIO_SIZE,
  type VirtioDevice,
  VirtioMmio,
  VirtioPci,
} from "@vm/devices";
import * as L from "../layout.js";
import type { Interrupts } from "./interrupts.js";
import type { Parts } from "./parts.js";
import type { PciBus } from "./pci.js";

/** A virtio-mmio window. */
export interface VirtioWindow {
  /** Guest-physical address of the window. */
  readonly base: number;
  /** Bytes. */
  readonly size: number;
  readonly gsi: number;
}

/** A function of PCI bus 0. */
export interface VirtioFunction {
  /** Its device number, 1 to 30; it is function 0. */
  readonly pciDevice: number;
  /** What INTA is. */
  readonly gsi: number;
}

/** Where the guest finds a virtio device. */
export type VirtioSlot = VirtioWindow | VirtioFunction;

export interface VirtioSlotsDesc {
  readonly parts: Parts;
  readonly mmio: MmioBus;
  /** Where devices go if there is PCI. */
  readonly pci: PciBus | null;
  /** Where messages go. */
  readonly apicBus: ApicFabric;
  readonly interrupts: Interrupts;
  readonly memory: GuestMemory;
  /** When devices work that take longer than an access. */
  readonly turns: Turns;
  /** See `VirtioMmioDesc`. */
  readonly accessPlatform: boolean;
}

/** The virtio devices of the board, in the order they were attached: what the guest counts its disks by. */
export class VirtioSlots {
  readonly #desc: VirtioSlotsDesc;
  readonly #windows: VirtioWindow[] = [];
  readonly #functions: VirtioFunction[] = [];

  constructor(desc: VirtioSlotsDesc) {
    this.#desc = desc;
  }

  /** @throws {MachineError} `exhausted` if no interrupt is left */
  attach<S>(device: VirtioDevice<S>): VirtioSlot {
    const { pci } = this.#desc;
    return pci === null ? this.#attachMmio(device) : this.#attachPci(device, pci);
  }

  /** Those that have windows. */
  get windows(): readonly VirtioWindow[] {
    return this.#windows;
  }

  /** Those that are on the PCI bus. */
  get functions(): readonly VirtioFunction[] {
    return this.#functions;
  }

  #attachMmio<S>(device: VirtioDevice<S>): VirtioWindow {
    const { parts, mmio, interrupts, memory, turns, accessPlatform } = this.#desc;
    const { gsi, line } = interrupts.take();
    const slot = { base: L.VIRTIO + this.#windows.length * L.VIRTIO_STRIDE, size: VIRTIO_MMIO_SIZE, gsi };
    const transport = new VirtioMmio({ device, memory, irq: line, turns, accessPlatform });
    mmio.attach(slot.base, slot.size, parts.add(`virtio${this.#windows.length}`, transport));
    this.#windows.push(slot);
    return slot;
  }

  #attachPci<S>(device: VirtioDevice<S>, pci: PciBus): VirtioFunction {
    const { parts, apicBus, interrupts, memory, turns, accessPlatform } = this.#desc;
    const { gsi, line } = interrupts.take();
    const slot = { pciDevice: 1 + this.#functions.length, gsi };
    const transport = new VirtioPci({
      ...{ device, memory, turns, accessPlatform, irq: line, interruptLine: gsi, decode: pci.memory },
      sendMsi: (message) => {
        const interrupt = decodeMsi(message);
        if (interrupt !== null) apicBus.send(interrupt);
      },
    });
    parts.add(`virtio${this.#functions.length}`, transport);
    pci.host.attach({ device: slot.pciDevice, function: 0 }, transport);
    this.#functions.push(slot);
    return slot;
  }
}
