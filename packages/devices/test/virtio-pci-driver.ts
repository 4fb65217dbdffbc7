import type { VirtioDevice } from "../src/index.js";
import {
  type ApicMessage,
  decodeMsi,
  MmioBus,
  type MsiMessage,
  PciHost,
  type PciMemory,
  PciWindows,
  VirtioPci,
} from "../src/index.js";
import { FakeLine } from "./fakes.js";
import { QueueDriver } from "./virtio-driver.js";

/** Where PCI devices can decode memory in these tests. */
export const PCI_WINDOW = [0xc000_0000, 0xf000_0000] as const;

/** Memory of a bus with nothing but what its functions decode. */
export const pciMemory = (mmio: MmioBus): PciMemory =>
  new PciWindows({ mmio, allowed: ({ base, size }) => base >= PCI_WINDOW[0] && base + size <= PCI_WINDOW[1] });

/** Where the driver puts bar 0 and bar 1. */
const BARS = [0xc000_0000, 0xc001_0000] as const;
const DEVICE = 5;
/** The message of vector k: to APIC 1, vector 0x40 + k. */
const MESSAGE = { addressLow: 0xfee0_1000, data: 0x40 } as const;

/** A structure that a capability of virtio describes. */
export interface Structure {
  readonly kind: number;
  readonly bar: number;
  readonly offset: number;
  readonly length: number;
  /** What follows the 16 bytes of the capability, if it is longer. */
  readonly more: number | null;
}

/** A driver of a virtio-pci device as a guest would write it: it finds everything through configuration space. */
export class PciDriver<S> extends QueueDriver {
  readonly irq = new FakeLine();
  readonly mmio = new MmioBus();
  readonly host = new PciHost({ onReset: () => undefined });
  readonly messages: MsiMessage[] = [];
  readonly pci: VirtioPci<S>;

  constructor(
    readonly device: VirtioDevice<S>,
    accessPlatform = false,
  ) {
    super(8);
    const { memory, irq, turns, mmio } = this;
    const sendMsi = (message: MsiMessage): void => void this.messages.push(message);
    this.pci = new VirtioPci({ device, memory, irq, turns, accessPlatform, sendMsi, decode: pciMemory(mmio) });
    this.host.attach({ device: DEVICE, function: 0 }, this.pci);
  }

  config(offset: number, size: 1 | 2 | 4 = 4): number {
    this.host.ioWrite(0xcf8, 4, 0x8000_0000 + DEVICE * 0x800 + (offset & 0xfc));
    return this.host.ioRead(0xcfc + (offset & 3), size);
  }

  setConfig(offset: number, size: 1 | 2 | 4, value: number): void {
    this.host.ioWrite(0xcf8, 4, 0x8000_0000 + DEVICE * 0x800 + (offset & 0xfc));
    this.host.ioWrite(0xcfc + (offset & 3), size, value);
  }

  /** Offsets of the capabilities with this ID. */
  capabilities(id: number): number[] {
    const found: number[] = [];
    for (let at = this.config(0x34, 1); at !== 0; at = this.config(at + 1, 1))
      if (this.config(at, 1) === id) found.push(at);
    return found;
  }

  get structures(): Structure[] {
    return this.capabilities(9).map((at) => ({
      kind: this.config(at + 3, 1),
      bar: this.config(at + 4, 1),
      offset: this.config(at + 8),
      length: this.config(at + 12),
      more: this.config(at + 2, 1) > 16 ? this.config(at + 16) : null,
    }));
  }

  /** Guest-physical address of a structure, by its kind. */
  address(kind: number): number {
    const structure = this.structures.find((own) => own.kind === kind);
    if (structure === undefined) throw new RangeError(`no structure ${kind}`);
    return (BARS[structure.bar] ?? 0) + structure.offset;
  }

  common(offset: number, size: 1 | 2 | 4): number {
    return this.mmio.read(this.address(1) + offset, size);
  }

  setCommon(offset: number, size: 1 | 2 | 4, value: number): void {
    this.mmio.write(this.address(1) + offset, size, value);
  }

  get isr(): number {
    return this.mmio.read(this.address(3), 1);
  }

  /** Puts the bars where {@link BARS} says and lets them decode. */
  enable(): this {
    BARS.forEach((base, index) => {
      this.setConfig(0x10 + 4 * index, 4, base);
    });
    this.setConfig(0x04, 2, 6);
    return this;
  }

  /** Turns MSI-X on, each vector with its message. */
  enableMessages(): this {
    const [at] = this.capabilities(0x11) as [number];
    const entries = (this.config(at + 2, 2) & 0x7ff) + 1;
    for (let vector = 0; vector < entries; vector++) this.setVector(vector, MESSAGE.data + vector, false);
    this.setConfig(at + 2, 2, 0x8000);
    return this;
  }

  setVector(vector: number, data: number, masked: boolean): void {
    const entry = BARS[1] + 16 * vector;
    this.mmio.write(entry, 8, MESSAGE.addressLow, 0);
    this.mmio.write(entry + 8, 8, data, masked ? 1 : 0);
  }

  /** Interrupts that the messages sent since the last call are. */
  interrupts(): (ApicMessage | null)[] {
    return this.messages.splice(0).map(decodeMsi);
  }

  negotiate(features = 0, high = 1): number {
    for (const status of [0, 1, 3]) this.setCommon(0x14, 1, status);
    [features, high].forEach((word, select) => {
      this.setCommon(0x08, 4, select);
      this.setCommon(0x0c, 4, word);
    });
    this.setCommon(0x14, 1, 0x0b);
    return this.common(0x14, 1);
  }

  setupQueue(queue: number, vector = 0xffff): void {
    const { desc, avail, used } = this.clearQueue(queue);
    this.setCommon(0x16, 2, queue);
    this.setCommon(0x18, 2, this.queueSize);
    this.setCommon(0x1a, 2, vector);
    [desc, avail, used].forEach((address, k) => {
      this.setCommon(0x20 + 8 * k, 4, address);
      this.setCommon(0x24 + 8 * k, 4, 0);
    });
    this.setCommon(0x1c, 2, 1);
  }

  /** The whole dance up to DRIVER_OK, with a message for each queue if MSI-X is on. */
  start(features = 0, messages = false): this {
    this.negotiate(features);
    if (messages) this.setCommon(0x10, 2, 0);
    for (const queue of this.device.queueSizes.keys()) this.setupQueue(queue, messages ? 1 + queue : 0xffff);
    this.setCommon(0x14, 1, 0x0f);
    this.turns.run();
    return this;
  }

  /** Notifies the device where its queue says, and lets it work until it has nothing more to do. */
  notify(queue: number): void {
    this.setCommon(0x16, 2, queue);
    const notify = this.structures.find(({ kind }) => kind === 2) as Structure;
    const at = this.common(0x1e, 2) * (notify.more ?? 0);
    this.mmio.write(this.address(2) + at, 2, queue);
    this.turns.run();
  }
}
