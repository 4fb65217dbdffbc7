import { VIRTIO_MMIO_SIZE, type VirtioDevice, VirtioMmio } from "../src/index.js";
import { FakeLine, FakeMemory, FakeTurns } from "./fakes.js";

export interface Buffer {
  readonly gpa: number;
  readonly length: number;
  readonly write?: boolean;
}

const RAM = 4 << 20;
/** Ring memory of queue i starts at RINGS * (i + 1); buffers lie above BUFFERS. */
const RINGS = 0x10000;
export const BUFFERS = 0x100000;
export const NEXT = 1;
export const WRITE = 2;
export const INDIRECT = 4;

/** What of a driver has nothing to do with registers: guest memory with split queues in it. */
export class QueueDriver {
  readonly memory = new FakeMemory(RAM);
  readonly turns = new FakeTurns();
  private readonly freeDescriptor: number[] = [];
  private readonly available: number[] = [];
  private readonly used: number[] = [];
  private nextBuffer = BUFFERS;

  constructor(readonly queueSize: number) {}

  /** Where a queue's three parts lie. */
  rings(queue: number): { desc: number; avail: number; used: number } {
    const base = RINGS * (queue + 1);
    return { desc: base, avail: base + 0x4000, used: base + 0x8000 };
  }

  /** Empties a queue; returns where its three parts lie. */
  clearQueue(queue: number): { desc: number; avail: number; used: number } {
    const rings = this.rings(queue);
    this.freeDescriptor[queue] = this.available[queue] = this.used[queue] = 0;
    this.memory.bytes.fill(0, rings.desc, rings.desc + RINGS);
    return rings;
  }

  /** A new buffer in guest memory with these bytes. */
  buffer(bytes: Uint8Array | number, write = false): Buffer {
    const length = typeof bytes === "number" ? bytes : bytes.length;
    const gpa = this.nextBuffer;
    this.nextBuffer += (length + 15) & ~15;
    if (typeof bytes !== "number") this.memory.bytes.set(bytes, gpa);
    return { gpa, length, write };
  }

  bytes(buffer: Buffer): Uint8Array {
    return this.memory.bytes.slice(buffer.gpa, buffer.gpa + buffer.length);
  }

  writeDescriptor(at: number, buffer: Buffer, flags: number, next: number): void {
    const { view } = this.memory;
    view.setUint32(at, buffer.gpa % 2 ** 32, true);
    view.setUint32(at + 4, Math.floor(buffer.gpa / 2 ** 32), true);
    view.setUint32(at + 8, buffer.length, true);
    view.setUint16(at + 12, flags, true);
    view.setUint16(at + 14, next, true);
  }

  /** Lays a chain out in the descriptor table and makes it available; returns its head. */
  add(queue: number, ...buffers: readonly Buffer[]): number {
    const { desc } = this.rings(queue);
    const first = this.freeDescriptor[queue] ?? 0;
    buffers.forEach((buffer, i) => {
      const slot = (first + i) % this.queueSize;
      const more = i < buffers.length - 1;
      const flags = (buffer.write ? WRITE : 0) | (more ? NEXT : 0);
      this.writeDescriptor(desc + 16 * slot, buffer, flags, (slot + 1) % this.queueSize);
    });
    this.freeDescriptor[queue] = (first + buffers.length) % this.queueSize;
    this.offer(queue, first);
    return first;
  }

  /** Makes the chain at `head` available. */
  offer(queue: number, head: number): void {
    const { avail } = this.rings(queue);
    const index = this.available[queue] ?? 0;
    this.memory.view.setUint16(avail + 4 + 2 * (index % this.queueSize), head, true);
    this.available[queue] = index + 1;
    this.memory.view.setUint16(avail + 2, (index + 1) & 0xffff, true);
  }

  /** The next element of the used ring, or null. */
  take(queue: number): { head: number; written: number } | null {
    const { used } = this.rings(queue);
    const { view } = this.memory;
    const index = this.used[queue] ?? 0;
    if (view.getUint16(used + 2, true) === (index & 0xffff)) return null;
    this.used[queue] = index + 1;
    const element = used + 4 + 8 * (index % this.queueSize);
    return { head: view.getUint32(element, true), written: view.getUint32(element + 4, true) };
  }
}

/** A driver as a guest would write it: sets a device up through its registers and works its split queues. */
export class TestDriver<S> extends QueueDriver {
  readonly irq = new FakeLine();
  readonly mmio: VirtioMmio<S>;

  constructor(
    readonly device: VirtioDevice<S>,
    queueSize = 8,
    accessPlatform = false,
  ) {
    super(queueSize);
    const { memory, irq, turns } = this;
    this.mmio = new VirtioMmio({ device, memory, irq, turns, accessPlatform });
  }

  read(offset: number): number {
    if (offset >= VIRTIO_MMIO_SIZE) throw new RangeError(`offset ${offset}`);
    return this.mmio.mmioRead(offset, 4);
  }

  write(offset: number, value: number): void {
    this.mmio.mmioWrite(offset, 4, value);
  }

  get needsReset(): boolean {
    return (this.read(0x70) & 0x40) !== 0;
  }

  /** Negotiates `features` (low word) and VERSION_1; returns the status after FEATURES_OK. */
  negotiate(features = 0, high = 1): number {
    this.write(0x70, 0);
    this.write(0x70, 1);
    this.write(0x70, 3);
    this.write(0x24, 0);
    this.write(0x20, features);
    this.write(0x24, 1);
    this.write(0x20, high);
    this.write(0x70, 0x0b);
    return this.read(0x70);
  }

  setupQueue(queue: number, size = this.queueSize): void {
    const { desc, avail, used } = this.clearQueue(queue);
    this.write(0x30, queue);
    this.write(0x38, size);
    for (const [register, address] of [
      [0x80, desc],
      [0x90, avail],
      [0xa0, used],
    ] as const) {
      this.write(register, address);
      this.write(register + 4, 0);
    }
    this.write(0x44, 1);
  }

  /** The whole dance up to DRIVER_OK. */
  start(features = 0): this {
    this.negotiate(features);
    for (const queue of this.device.queueSizes.keys()) this.setupQueue(queue);
    this.write(0x70, 0x0f);
    this.turns.run();
    return this;
  }

  /** Notifies the device and lets it work until it has nothing more to do. */
  notify(queue: number): void {
    this.write(0x50, queue);
    this.turns.run();
  }
}
