import type { MmioDevice, MmioSize } from "./ports.js";
import { read, type StateReader } from "./state.js";
import type { VirtioTransport } from "./virtio-transport.js";
import { type Virtqueue, withHigh, withLow } from "./virtqueue.js";

/** Bytes of the memory that holds a device's registers, and where each structure lies in it. */
export const VIRTIO_PCI_MEMORY_SIZE = 0x4000;
export const VirtioPciRegion = { Common: 0x0000, Isr: 0x1000, Device: 0x2000, Notify: 0x3000 } as const;
/** Bytes of the common configuration (virtio 1.2, 4.1.4.3). */
export const COMMON_SIZE = 0x40;
/** What a queue's index is multiplied with to find the place of its notification. */
export const NOTIFY_MULTIPLIER = 4;
/** An event for which no message is sent. */
export const NO_VECTOR = 0xffff;

const REGION = 0x1000;

/** Registers of the common configuration. */
const R = {
  DeviceFeaturesSel: 0x00,
  DeviceFeatures: 0x04,
  DriverFeaturesSel: 0x08,
  DriverFeatures: 0x0c,
  ConfigVector: 0x10,
  NumQueues: 0x12,
  Status: 0x14,
  ConfigGeneration: 0x15,
  QueueSel: 0x16,
  QueueSize: 0x18,
  QueueVector: 0x1a,
  QueueEnable: 0x1c,
  QueueNotifyOff: 0x1e,
  QueueDescLow: 0x20,
  QueueDescHigh: 0x24,
  QueueDriverLow: 0x28,
  QueueDriverHigh: 0x2c,
  QueueDeviceLow: 0x30,
  QueueDeviceHigh: 0x34,
} as const;

/** Bytes of the registers that take writes: a write of another width does nothing. */
const WIDTHS: ReadonlyMap<number, MmioSize> = new Map<number, MmioSize>([
  ...[R.DeviceFeaturesSel, R.DriverFeaturesSel, R.DriverFeatures].map((at) => [at, 4] as const),
  ...[R.ConfigVector, R.QueueSel, R.QueueSize, R.QueueVector, R.QueueEnable].map((at) => [at, 2] as const),
  [R.Status, 1],
  ...[R.QueueDescLow, R.QueueDescHigh, R.QueueDriverLow].map((at) => [at, 4] as const),
  ...[R.QueueDriverHigh, R.QueueDeviceLow, R.QueueDeviceHigh].map((at) => [at, 4] as const),
]);

export interface VirtioPciVectors {
  readonly config: number;
  /** By queue. */
  readonly queues: readonly number[];
}

/**
 * The registers of the virtio-pci transport (virtio 1.2, 4.1.4): common configuration, interrupt status, the device's configuration and notifications, each
 * in a region of its own.
 *
 * Reads are of any width. Writes have the width of their register, of 64-bit ones the halves; others do nothing. Reading the interrupt status acknowledges it.
 * Not emulated: notification data, queue reset (their registers read 0).
 */
export class VirtioPciRegisters<S> implements MmioDevice {
  readonly #core: VirtioTransport<S>;
  readonly #messages: number;
  #configVector = NO_VECTOR;
  readonly #queueVectors: number[];

  /** @param messages how many messages there are: others are not taken */
  constructor(core: VirtioTransport<S>, messages: number) {
    this.#core = core;
    this.#messages = messages;
    this.#queueVectors = Array.from({ length: core.queueCount }, () => NO_VECTOR);
  }

  /** The message for a queue (its index), or for changes of the configuration (null); {@link NO_VECTOR} if none is sent. */
  vectorOf(queue: number | null): number {
    return queue === null ? this.#configVector : (this.#queueVectors[queue] ?? NO_VECTOR);
  }

  mmioRead(offset: number, size: MmioSize): number {
    const at = offset % REGION;
    switch (offset - at) {
      case VirtioPciRegion.Common:
        return this.#readCommon(at, size);
      case VirtioPciRegion.Isr:
        return at === 0 ? this.#takeInterrupts() : 0;
      case VirtioPciRegion.Device:
        return this.#core.readConfig(at, size);
      default:
        return 0;
    }
  }

  mmioWrite(offset: number, size: MmioSize, value: number): void {
    const at = offset % REGION;
    if (offset - at === VirtioPciRegion.Notify) this.#core.notify(Math.floor(at / NOTIFY_MULTIPLIER));
    else if (offset - at === VirtioPciRegion.Common && WIDTHS.get(at) === size) this.#writeCommon(at, value);
  }

  /** The driver reset the device. */
  reset(): void {
    this.#configVector = NO_VECTOR;
    this.#queueVectors.fill(NO_VECTOR);
  }

  save(): VirtioPciVectors {
    return { config: this.#configVector, queues: [...this.#queueVectors] };
  }

  /** What a saved state says. @throws {StateError} */
  readState(value: unknown, path?: string): VirtioPciVectors {
    const vector: StateReader<number> = (number, at = "") => {
      if (number === NO_VECTOR) return NO_VECTOR;
      return read.integer(0, this.#messages - 1)(number, at);
    };
    const queues = read.list(vector, this.#queueVectors.length);
    return read.record<VirtioPciVectors>({ config: vector, queues })(value, path);
  }

  /** @throws {StateError} */
  restore(saved: VirtioPciVectors): void {
    const state = this.readState(saved);
    this.#configVector = state.config;
    this.#queueVectors.forEach((_, queue) => {
      this.#queueVectors[queue] = state.queues[queue] ?? NO_VECTOR;
    });
  }

  #takeInterrupts(): number {
    const causes = this.#core.interruptStatus;
    this.#core.acknowledge(causes);
    return causes;
  }

  /** By words of 4 bytes, in which the registers lie. */
  #readCommon(at: number, size: MmioSize): number {
    let value = 0;
    for (let k = 0; k < size; k++) value |= ((this.#word((at + k) & ~3) >>> (8 * ((at + k) & 3))) & 0xff) << (8 * k);
    return value >>> 0;
  }

  #word(at: number): number {
    const core = this.#core;
    const { queue } = core;
    switch (at) {
      case R.DeviceFeaturesSel:
        return core.deviceFeaturesSel;
      case R.DeviceFeatures:
        return core.deviceFeatures;
      case R.DriverFeaturesSel:
        return core.driverFeaturesSel;
      case R.DriverFeatures:
        return core.driverFeatures;
      case R.ConfigVector:
        return this.#configVector | (core.queueCount << 16);
      case R.Status:
        return core.status | ((core.configGeneration & 0xff) << 8) | (core.queueSel << 16);
      default:
        return queue === undefined ? 0 : this.#queueWord(queue, at);
    }
  }

  #queueWord(queue: Virtqueue, at: number): number {
    const { queueSel } = this.#core;
    switch (at) {
      case R.QueueSize:
        return queue.size | (this.vectorOf(queueSel) << 16);
      case R.QueueEnable:
        return (queue.ready ? 1 : 0) | (queueSel << 16);
      case R.QueueDescLow:
        return queue.descriptors % 2 ** 32;
      case R.QueueDescHigh:
        return queue.descriptors / 2 ** 32;
      case R.QueueDriverLow:
        return queue.driver % 2 ** 32;
      case R.QueueDriverHigh:
        return queue.driver / 2 ** 32;
      case R.QueueDeviceLow:
        return queue.device % 2 ** 32;
      case R.QueueDeviceHigh:
        return queue.device / 2 ** 32;
      default:
        return 0;
    }
  }

  #writeCommon(at: number, value: number): void {
    const core = this.#core;
    switch (at) {
      case R.DeviceFeaturesSel:
        core.deviceFeaturesSel = value;
        break;
      case R.DriverFeaturesSel:
        core.driverFeaturesSel = value;
        break;
      case R.DriverFeatures:
        core.driverFeatures = value;
        break;
      case R.ConfigVector:
        this.#configVector = this.#acceptable(value);
        break;
      case R.Status:
        core.status = value & 0xff;
        break;
      case R.QueueSel:
        core.queueSel = value & 0xffff;
        break;
      default:
        if (core.queue) this.#writeQueue(core.queue, at, value);
    }
  }

  #writeQueue(queue: Virtqueue, at: number, value: number): void {
    if (at === R.QueueVector) this.#queueVectors[this.#core.queueSel] = this.#acceptable(value);
    else if (at === R.QueueEnable) {
      if ((value & 0xffff) === 1) this.#core.enableQueue();
    } else if (queue.ready) return;
    else if (at === R.QueueSize) queue.size = value & 0xffff;
    else if (at === R.QueueDescLow) queue.descriptors = withLow(queue.descriptors, value);
    else if (at === R.QueueDescHigh) queue.descriptors = withHigh(queue.descriptors, value);
    else if (at === R.QueueDriverLow) queue.driver = withLow(queue.driver, value);
    else if (at === R.QueueDriverHigh) queue.driver = withHigh(queue.driver, value);
    else if (at === R.QueueDeviceLow) queue.device = withLow(queue.device, value);
    else if (at === R.QueueDeviceHigh) queue.device = withHigh(queue.device, value);
  }

  /** A message that cannot be had reads back as none (4.1.5.1.2). */
  #acceptable(vector: number): number {
    return (vector & 0xffff) < this.#messages ? vector & 0xffff : NO_VECTOR;
  }
}
