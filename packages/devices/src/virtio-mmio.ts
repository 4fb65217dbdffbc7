import type { GuestMemory, IrqLine, MmioDevice, MmioSize, Turns } from "./ports.js";
import type { VirtioDevice } from "./virtio-device.js";
import { VirtioTransport, type VirtioTransportState } from "./virtio-transport.js";
import { type Virtqueue, withHigh, withLow } from "./virtqueue.js";

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

export type VirtioMmioState<S> = VirtioTransportState<S>;

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

/**
 * The virtio-mmio transport, version 2 (virtio 1.2, 4.2.2): one window of {@link VIRTIO_MMIO_SIZE} bytes per device.
 *
 * Registers below 0x100 take aligned 4-byte accesses; others read 0 and write nothing. The configuration space from 0x100
 * takes any width and is read-only.
 *
 * Emulated: every register of version 2; what is behind them is `VirtioTransport`'s.
 * Not emulated: the legacy interface (version 1), shared memory regions (length reads all ones: none), queue reset.
 */
export class VirtioMmio<S> implements MmioDevice {
  readonly #core: VirtioTransport<S>;

  constructor({ irq, ...desc }: VirtioMmioDesc<S>) {
    this.#core = new VirtioTransport({ ...desc, interrupts: { level: (pending) => irq.set(pending) } });
  }

  mmioRead(offset: number, size: MmioSize): number {
    if (offset >= R.Config) return this.#core.readConfig(offset - R.Config, size);
    return size === 4 && (offset & 3) === 0 ? this.#readRegister(offset) >>> 0 : 0;
  }

  mmioWrite(offset: number, size: MmioSize, value: number): void {
    if (offset < R.Config && size === 4 && (offset & 3) === 0) this.#writeRegister(offset, value >>> 0);
  }

  save(): VirtioMmioState<S> {
    return this.#core.save();
  }

  restore(state: VirtioMmioState<S>): void {
    this.#core.restore(state);
  }

  #readRegister(offset: number): number {
    const core = this.#core;
    switch (offset) {
      case R.Magic:
        return MAGIC;
      case R.Version:
        return VERSION;
      case R.DeviceId:
        return core.deviceId;
      case R.VendorId:
        return VENDOR;
      case R.DeviceFeatures:
        return core.deviceFeatures;
      case R.QueueNumMax:
        return core.queue?.maxSize ?? 0;
      case R.QueueReady:
        return core.queue?.ready ? 1 : 0;
      case R.InterruptStatus:
        return core.interruptStatus;
      case R.Status:
        return core.status;
      case R.ConfigGeneration:
        return core.configGeneration;
      default:
        return offset >= R.ShmLenLow && offset <= R.ShmBaseHigh ? 0xffffffff : 0;
    }
  }

  #writeRegister(offset: number, value: number): void {
    const core = this.#core;
    switch (offset) {
      case R.DeviceFeaturesSel:
        core.deviceFeaturesSel = value;
        break;
      case R.DriverFeaturesSel:
        core.driverFeaturesSel = value;
        break;
      case R.DriverFeatures:
        core.driverFeatures = value;
        break;
      case R.QueueSel:
        core.queueSel = value;
        break;
      case R.QueueNotify:
        core.notify(value);
        break;
      case R.InterruptAck:
        core.acknowledge(value);
        break;
      case R.Status:
        core.status = value;
        break;
      default:
        if (core.queue) this.#writeQueue(core.queue, offset, value);
    }
  }

  #writeQueue(queue: Virtqueue, offset: number, value: number): void {
    if (offset === R.QueueReady) {
      if (value === 0) queue.ready = false;
      else this.#core.enableQueue();
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
}
