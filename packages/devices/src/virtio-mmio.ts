import type { DescriptorChain } from "./descriptor-chain.js";
import type { GuestMemory, IrqLine, MmioDevice, MmioSize, Turns } from "./ports.js";
import type { VirtioDevice, VirtioHost } from "./virtio-device.js";
import { Virtqueue, type VirtqueueState } from "./virtqueue.js";

/** Bytes of a window: 0x100 of registers and the configuration space. */
export const VIRTIO_MMIO_SIZE = 0x200;

export interface VirtioMmioDesc<S> {
  readonly device: VirtioDevice<S>;
  readonly memory: GuestMemory;
  /** Level-triggered, high while InterruptStatus is not 0. */
  readonly irq: IrqLine;
  /** When the device works: never within an access of the guest. */
  readonly turns: Turns;
  /** The device reaches only memory that the driver gives it, which the driver must know: VIRTIO_F_ACCESS_PLATFORM is offered and required. Default false. */
  readonly accessPlatform?: boolean;
}

export interface VirtioMmioState<S> {
  readonly status: number;
  readonly interruptStatus: number;
  readonly deviceFeaturesSel: number;
  readonly driverFeaturesSel: number;
  readonly driverFeatures: readonly [number, number];
  readonly queueSel: number;
  readonly configGeneration: number;
  readonly queues: readonly VirtqueueState[];
  readonly device: S;
}

const MAGIC = 0x7472_6976;
const VERSION = 2;
/** "VMTS": the specification leaves vendor IDs free. */
const VENDOR = 0x5354_4d56;

/** Registers (virtio 1.2, 4.2.2). */
const R = {
  Magic: 0x00,
  Version: 0x04,
  DeviceId: 0x08,
  VendorId: 0x0c,
  DeviceFeatures: 0x10,
  DeviceFeaturesSel: 0x14,
  DriverFeatures: 0x20,
  DriverFeaturesSel: 0x24,
  QueueSel: 0x30,
  QueueNumMax: 0x34,
  QueueNum: 0x38,
  QueueReady: 0x44,
  QueueNotify: 0x50,
  InterruptStatus: 0x60,
  InterruptAck: 0x64,
  Status: 0x70,
  QueueDescLow: 0x80,
  QueueDescHigh: 0x84,
  QueueDriverLow: 0x90,
  QueueDriverHigh: 0x94,
  QueueDeviceLow: 0xa0,
  QueueDeviceHigh: 0xa4,
  ShmLenLow: 0xb0,
  ShmBaseHigh: 0xbc,
  ConfigGeneration: 0xfc,
  Config: 0x100,
} as const;

const STATUS_DRIVER_OK = 4;
const STATUS_FEATURES_OK = 8;
const STATUS_NEEDS_RESET = 0x40;
/** Bits a driver may set: ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, FAILED. */
const STATUS_DRIVER_BITS = 0x8f;
const INTERRUPT_USED = 1;
const INTERRUPT_CONFIG = 2;
/** VIRTIO_F_INDIRECT_DESC (28), VIRTIO_F_VERSION_1 (32) and VIRTIO_F_ACCESS_PLATFORM (33). */
const F_INDIRECT_LOW = 1 << 28;
const F_VERSION_1_HIGH = 1;
const F_ACCESS_PLATFORM_HIGH = 2;

const withLow = (value: number, low: number): number => Math.floor(value / 2 ** 32) * 2 ** 32 + low;
const withHigh = (value: number, high: number): number => high * 2 ** 32 + (value % 2 ** 32);

/**
 * The virtio-mmio transport, version 2 (virtio 1.2, 4.2.2): one window of {@link VIRTIO_MMIO_SIZE} bytes per device.
 *
 * Registers below 0x100 take aligned 4-byte accesses; others read 0 and write nothing. The configuration space from 0x100
 * takes any width and is read-only.
 *
 * Emulated: feature negotiation (VERSION_1 is required, INDIRECT_DESC offered, ACCESS_PLATFORM as told), queue setup, notification, used-buffer and
 * configuration-change interrupts, configuration generation, reset, DEVICE_NEEDS_RESET.
 * Not emulated: the legacy interface (version 1), shared memory regions (length reads all ones: none), event indexes, packed rings, queue reset.
 * A notification costs nothing but a note: the device works in its turns, a bounded part in each.
 * A driver that breaks the rules, or names memory that the device cannot reach, gets DEVICE_NEEDS_RESET and a configuration interrupt, nothing else happens until reset.
 */
export class VirtioMmio<S> implements MmioDevice {
  readonly #device: VirtioDevice<S>;
  /** The features from bit 32 on: those that are offered must be taken. */
  readonly #required: number;
  readonly #queues: readonly Virtqueue[];
  #status = 0;
  #interruptStatus = 0;
  #deviceFeaturesSel = 0;
  #driverFeaturesSel = 0;
  #driverFeatures: [number, number] = [0, 0];
  #queueSel = 0;
  #configGeneration = 0;
  /** Counts resets, to tell the chains of before from those of after. */
  #epoch = 0;
  /** The device will work soon. */
  #awake = false;
  readonly #desc: VirtioMmioDesc<S>;

  constructor(desc: VirtioMmioDesc<S>) {
    this.#desc = desc;
    this.#device = desc.device;
    this.#required = desc.accessPlatform === true ? F_VERSION_1_HIGH | F_ACCESS_PLATFORM_HIGH : F_VERSION_1_HIGH;
    this.#queues = desc.device.queueSizes.map((size) => new Virtqueue(desc.memory, size));
    desc.device.connect(this.#host());
  }

  mmioRead(offset: number, size: MmioSize): number {
    if (offset >= R.Config) return this.#readConfig(offset - R.Config, size);
    return size === 4 && (offset & 3) === 0 ? this.#readRegister(offset) >>> 0 : 0;
  }

  mmioWrite(offset: number, size: MmioSize, value: number): void {
    if (offset < R.Config && size === 4 && (offset & 3) === 0) this.#writeRegister(offset, value >>> 0);
  }

  save(): VirtioMmioState<S> {
    const [status, interruptStatus, deviceFeaturesSel, driverFeaturesSel, queueSel, configGeneration] = [
      this.#status,
      this.#interruptStatus,
      this.#deviceFeaturesSel,
      this.#driverFeaturesSel,
      this.#queueSel,
      this.#configGeneration,
    ];
    const selectors = { deviceFeaturesSel, driverFeaturesSel, queueSel };
    const driverFeatures: readonly [number, number] = [this.#driverFeatures[0], this.#driverFeatures[1]];
    const queues = this.#queues.map((queue) => queue.save());
    return {
      status,
      interruptStatus,
      ...selectors,
      driverFeatures,
      configGeneration,
      queues,
      device: this.#device.save(),
    };
  }

  restore(state: VirtioMmioState<S>): void {
    this.#epoch++;
    this.#status = state.status;
    this.#interruptStatus = state.interruptStatus;
    this.#deviceFeaturesSel = state.deviceFeaturesSel;
    this.#driverFeaturesSel = state.driverFeaturesSel;
    this.#driverFeatures = [state.driverFeatures[0], state.driverFeatures[1]];
    this.#queueSel = state.queueSel;
    this.#configGeneration = state.configGeneration;
    this.#queues.forEach((queue, i) => {
      const saved = state.queues[i];
      if (saved) queue.restore(saved);
    });
    this.#updateIrq();
    this.#device.restore(state.device);
    if (this.#running) this.#wake();
  }

  /** The transport as its device sees it. */
  #host(): VirtioHost {
    return {
      take: (queue) => this.#checked(queue, (q) => q.take(this.#liveNow())),
      retake: (queue, head) => this.#checked(queue, (q) => q.retake(head, this.#liveNow())),
      give: (queue, chain, written) => {
        const wanted = chain.live && this.#checked(queue, (q) => q.give(chain, written));
        if (wanted === true) this.#raise(INTERRUPT_USED);
      },
      fail: () => this.#fail(),
      configChanged: () => {
        this.#configGeneration = (this.#configGeneration + 1) >>> 0;
        if (this.#running) this.#raise(INTERRUPT_CONFIG);
      },
      wake: () => this.#wake(),
      begin: () => this.#desc.turns.begin(),
    };
  }

  #wake(): void {
    if (this.#awake) return;
    this.#awake = true;
    this.#desc.turns.later(() => {
      this.#awake = false;
      if (this.#device.work()) this.#wake();
    });
  }

  #liveNow(): () => boolean {
    const epoch = this.#epoch;
    return () => epoch === this.#epoch;
  }

  get #running(): boolean {
    return (this.#status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)) === STATUS_DRIVER_OK;
  }

  /** Works on a queue of a running device, and notices if that broke it. */
  #checked<T extends DescriptorChain | boolean | null>(index: number, work: (queue: Virtqueue) => T): T | null {
    const queue = this.#queues[index];
    if (!queue || !this.#running) return null;
    const result = work(queue);
    if (queue.broken !== null) this.#fail();
    return result;
  }

  #fail(): void {
    if ((this.#status & STATUS_NEEDS_RESET) !== 0) return;
    const running = this.#running;
    this.#status |= STATUS_NEEDS_RESET;
    if (running) this.#raise(INTERRUPT_CONFIG);
  }

  #raise(cause: number): void {
    this.#interruptStatus |= cause;
    this.#updateIrq();
  }

  #updateIrq(): void {
    this.#desc.irq.set(this.#interruptStatus !== 0);
  }

  #readConfig(offset: number, size: MmioSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.#device.config[offset + i] ?? 0) << (8 * i);
    return value >>> 0;
  }

  #readRegister(offset: number): number {
    switch (offset) {
      case R.Magic:
        return MAGIC;
      case R.Version:
        return VERSION;
      case R.DeviceId:
        return this.#device.deviceId;
      case R.VendorId:
        return VENDOR;
      case R.DeviceFeatures:
        return this.#offered(this.#deviceFeaturesSel);
      case R.QueueNumMax:
        return this.#queues[this.#queueSel]?.maxSize ?? 0;
      case R.QueueReady:
        return this.#queues[this.#queueSel]?.ready ? 1 : 0;
      case R.InterruptStatus:
        return this.#interruptStatus;
      case R.Status:
        return this.#status;
      case R.ConfigGeneration:
        return this.#configGeneration;
      default:
        return offset >= R.ShmLenLow && offset <= R.ShmBaseHigh ? 0xffffffff : 0;
    }
  }

  #writeRegister(offset: number, value: number): void {
    switch (offset) {
      case R.DeviceFeaturesSel:
        this.#deviceFeaturesSel = value;
        break;
      case R.DriverFeaturesSel:
        this.#driverFeaturesSel = value;
        break;
      case R.DriverFeatures:
        this.#writeFeatures(value);
        break;
      case R.QueueSel:
        this.#queueSel = value;
        break;
      case R.QueueNotify:
        if (value < this.#queues.length && this.#running) this.#wake();
        break;
      case R.InterruptAck:
        this.#interruptStatus &= ~value;
        this.#updateIrq();
        break;
      case R.Status:
        this.#writeStatus(value);
        break;
      default: {
        const queue = this.#queues[this.#queueSel];
        if (queue) this.#writeQueue(queue, offset, value);
      }
    }
  }

  #writeQueue(queue: Virtqueue, offset: number, value: number): void {
    if (offset === R.QueueReady) {
      if (value === 0) queue.ready = false;
      else if (!queue.ready && !queue.enable()) this.#fail();
      return;
    }
    if (queue.ready) return;
    if (offset === R.QueueNum) queue.size = value;
    else if (offset === R.QueueDescLow) queue.descriptors = withLow(queue.descriptors, value);
    else if (offset === R.QueueDescHigh) queue.descriptors = withHigh(queue.descriptors, value);
    else if (offset === R.QueueDriverLow) queue.driver = withLow(queue.driver, value);
    else if (offset === R.QueueDriverHigh) queue.driver = withHigh(queue.driver, value);
    else if (offset === R.QueueDeviceLow) queue.device = withLow(queue.device, value);
    else if (offset === R.QueueDeviceHigh) queue.device = withHigh(queue.device, value);
  }

  #offered(word: number): number {
    if (word === 0) return this.#device.features | F_INDIRECT_LOW;
    return word === 1 ? this.#required : 0;
  }

  #writeFeatures(value: number): void {
    if ((this.#status & STATUS_FEATURES_OK) !== 0) return;
    if (this.#driverFeaturesSel <= 1) this.#driverFeatures[this.#driverFeaturesSel === 0 ? 0 : 1] = value;
  }

  get #featuresAcceptable(): boolean {
    const [low, high] = this.#driverFeatures;
    return (low & ~this.#offered(0)) === 0 && high === this.#required;
  }

  /** Status bits are only ever added, until 0 resets (2.1); FEATURES_OK and DRIVER_OK stay off until they are earned. */
  #writeStatus(value: number): void {
    if (value === 0) {
      this.#reset();
      return;
    }
    const started = (this.#status & STATUS_DRIVER_OK) !== 0;
    let added = value & STATUS_DRIVER_BITS;
    if (!this.#featuresAcceptable) added &= ~STATUS_FEATURES_OK;
    if (((this.#status | added) & STATUS_FEATURES_OK) === 0) added &= ~STATUS_DRIVER_OK;
    this.#status |= added;
    if (!started && this.#running) this.#wake();
  }

  #reset(): void {
    this.#epoch++;
    this.#status = this.#interruptStatus = 0;
    this.#deviceFeaturesSel = this.#driverFeaturesSel = this.#queueSel = 0;
    this.#driverFeatures = [0, 0];
    for (const queue of this.#queues) queue.reset();
    this.#updateIrq();
    this.#device.reset();
  }
}
