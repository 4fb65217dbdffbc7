import {
  type GuestMemory,
  type MmioBus,
  type Turns,
  VIRTIO_MMIO_SIZE,
  type VirtioDevice,
  VirtioMmio,
} from "@vm/devices";
import * as L from "../layout.js";
import type { Interrupts } from "./interrupts.js";

/** Where the guest finds a virtio device. */
export interface VirtioSlot {
  /** Guest-physical address of its virtio-mmio window. */
  readonly base: number;
  /** Bytes. */
  readonly size: number;
  readonly gsi: number;
}

export interface VirtioSlotsDesc {
  readonly mmio: MmioBus;
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
  readonly #slots: VirtioSlot[] = [];

  constructor(desc: VirtioSlotsDesc) {
    this.#desc = desc;
  }

  /** @throws {MachineError} `exhausted` if no interrupt is left */
  attach<S>(device: VirtioDevice<S>): VirtioSlot {
    const { mmio, interrupts, memory, turns, accessPlatform } = this.#desc;
    const { gsi, line } = interrupts.take();
    const slot = { base: L.VIRTIO + this.#slots.length * L.VIRTIO_STRIDE, size: VIRTIO_MMIO_SIZE, gsi };
    mmio.attach(slot.base, slot.size, new VirtioMmio({ device, memory, irq: line, turns, accessPlatform }));
    this.#slots.push(slot);
    return slot;
  }

  get all(): readonly VirtioSlot[] {
    return this.#slots;
  }
}
