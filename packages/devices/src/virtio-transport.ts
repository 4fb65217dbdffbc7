import type { DescriptorChain } from "./descriptor-chain.js";
import type { GuestMemory, MmioSize, Turns } from "./ports.js";
import { at, read, StateError, type StateReader, within } from "./state.js";
import type { VirtioDevice, VirtioHost } from "./virtio-device.js";
import { Virtqueue, type VirtqueueState } from "./virtqueue.js";

/** How a transport tells its driver that something has happened. */
export interface VirtioInterrupts {
  /** Whether a cause is pending that the driver has not acknowledged: the level of an interrupt wire. Setting the same level again changes nothing. */
  level(pending: boolean): void;
  /** A queue (its index) has used buffers, or the configuration has changed (null): what messages are sent for. */
  happened?(queue: number | null): void;
  /** The driver reset the device. */
  reset?(): void;
}

export interface VirtioTransportDesc<S> {
  readonly device: VirtioDevice<S>;
  readonly memory: GuestMemory;
  /** When the device works: never within an access of the guest. */
  readonly turns: Turns;
  /** The device reaches only memory that the driver gives it, which the driver must know: VIRTIO_F_ACCESS_PLATFORM is offered and required. Default false. */
  readonly accessPlatform?: boolean;
  readonly interrupts: VirtioInterrupts;
}

export interface VirtioTransportState<S> {
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

const features: StateReader<readonly [number, number]> = (value, path) => {
  const [low = 0, high = 0] = read.list(read.u32, 2)(value, path);
  return [low, high];
};

/**
 * What the transports of a virtio device have in common (virtio 1.2 chapters 2 and 3): status, features, queues and interrupt causes, without the
 * registers by which a driver reaches them.
 *
 * Emulated: feature negotiation (VERSION_1 is required, INDIRECT_DESC offered, ACCESS_PLATFORM as told), queue setup, notification, used-buffer and
 * configuration-change interrupts, configuration generation, reset, DEVICE_NEEDS_RESET.
 * Not emulated: shared memory regions, event indexes, packed rings, queue reset.
 * A notification costs nothing but a note: the device works in its turns, a bounded part in each.
 * A driver that breaks the rules, or names memory that the device cannot reach, gets DEVICE_NEEDS_RESET and a configuration interrupt, nothing else happens until reset.
 */
export class VirtioTransport<S> {
  /** Registers that select what others show: a word of the features (32 bits), a queue. */
  deviceFeaturesSel = 0;
  driverFeaturesSel = 0;
  queueSel = 0;
  readonly #device: VirtioDevice<S>;
  /** The features from bit 32 on: those that are offered must be taken. */
  readonly #required: number;
  readonly #queues: readonly Virtqueue[];
  #status = 0;
  #interruptStatus = 0;
  #driverFeatures: [number, number] = [0, 0];
  #configGeneration = 0;
  /** Counts resets, to tell the chains of before from those of after. */
  #epoch = 0;
  /** The device will work soon. */
  #awake = false;
  readonly #desc: VirtioTransportDesc<S>;

  constructor(desc: VirtioTransportDesc<S>) {
    this.#desc = desc;
    this.#device = desc.device;
    this.#required = desc.accessPlatform === true ? F_VERSION_1_HIGH | F_ACCESS_PLATFORM_HIGH : F_VERSION_1_HIGH;
    this.#queues = desc.device.queueSizes.map((size) => new Virtqueue(desc.memory, size, () => this.#wake()));
    desc.device.connect(this.#host());
  }

  /** Device ID (virtio 1.2 chapter 5). */
  get deviceId(): number {
    return this.#device.deviceId;
  }

  get queueCount(): number {
    return this.#queues.length;
  }

  /** The selected queue; undefined if there is none. */
  get queue(): Virtqueue | undefined {
    return this.#queues[this.queueSel];
  }

  /** The selected word of the features that are offered. */
  get deviceFeatures(): number {
    return this.#offered(this.deviceFeaturesSel);
  }

  /** The selected word of the features that the driver takes. */
  get driverFeatures(): number {
    return this.#driverFeatures[this.driverFeaturesSel] ?? 0;
  }

  /** Takes effect before FEATURES_OK only. */
  set driverFeatures(value: number) {
    if ((this.#status & STATUS_FEATURES_OK) !== 0) return;
    if (this.driverFeaturesSel <= 1) this.#driverFeatures[this.driverFeaturesSel === 0 ? 0 : 1] = value;
  }

  get status(): number {
    return this.#status;
  }

  /** Status bits are only ever added, until 0 resets (2.1); FEATURES_OK and DRIVER_OK stay off until they are earned. */
  set status(value: number) {
    if (value === 0) {
      this.#reset();
      return;
    }
    const started = (this.#status & STATUS_DRIVER_OK) !== 0;
    let added = value & STATUS_DRIVER_BITS;
    if (!this.#accepts(this.#driverFeatures)) added &= ~STATUS_FEATURES_OK;
    if (((this.#status | added) & STATUS_FEATURES_OK) === 0) added &= ~STATUS_DRIVER_OK;
    this.#status |= added;
    if (!started && this.#running) this.#wake();
  }

  /** Pending causes: bit 0 used buffers, bit 1 a change of the configuration. */
  get interruptStatus(): number {
    return this.#interruptStatus;
  }

  /** Changes with the configuration space, 32 bits. */
  get configGeneration(): number {
    return this.#configGeneration;
  }

  /** Takes causes back. */
  acknowledge(causes: number): void {
    this.#interruptStatus &= ~causes;
    this.#updateLevel();
  }

  /** Puts the selected queue to work with the size and addresses it has been given. */
  enableQueue(): void {
    const { queue } = this;
    if (queue !== undefined && !queue.ready && !queue.enable()) this.#fail();
  }

  /** The driver has made buffers of a queue available. */
  notify(queue: number): void {
    if (queue < this.#queues.length && this.#running) this.#wake();
  }

  /** Reads `size` bytes of the configuration space at `offset`; zeros behind its end. */
  readConfig(offset: number, size: MmioSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.#device.config[offset + i] ?? 0) << (8 * i);
    return value >>> 0;
  }

  save(): VirtioTransportState<S> {
    const { deviceFeaturesSel, driverFeaturesSel, queueSel } = this;
    const driverFeatures: readonly [number, number] = [this.#driverFeatures[0], this.#driverFeatures[1]];
    return {
      status: this.#status,
      interruptStatus: this.#interruptStatus,
      ...{ deviceFeaturesSel, driverFeaturesSel, driverFeatures, queueSel },
      configGeneration: this.#configGeneration,
      queues: this.#queues.map((queue) => queue.save()),
      device: this.#device.save(),
    };
  }

  /** What a saved state of this device says. @throws {StateError} */
  readState(value: unknown, path = ""): VirtioTransportState<S> {
    const state = this.#shape(value, path);
    const { status, driverFeatures } = state;
    if ((status & (STATUS_FEATURES_OK | STATUS_DRIVER_OK)) === STATUS_DRIVER_OK)
      throw new StateError(at(path, "status"), `is ${status}, DRIVER_OK without FEATURES_OK`);
    if ((status & STATUS_FEATURES_OK) !== 0 && !this.#accepts(driverFeatures))
      throw new StateError(at(path, "driverFeatures"), `is ${driverFeatures}, which the device does not offer`);
    return state;
  }

  get #shape(): StateReader<VirtioTransportState<S>> {
    const device: StateReader<S> = (value, path) => this.#device.readState?.(value, path) ?? (value as S);
    return read.record<VirtioTransportState<S>>({
      status: read.bits(STATUS_DRIVER_BITS | STATUS_NEEDS_RESET),
      interruptStatus: read.bits(INTERRUPT_USED | INTERRUPT_CONFIG),
      deviceFeaturesSel: read.u32,
      driverFeaturesSel: read.u32,
      driverFeatures: features,
      queueSel: read.u32,
      configGeneration: read.u32,
      queues: read.tuple(...this.#queues.map((queue) => queue.readState.bind(queue))),
      device,
    });
  }

  /** @throws {StateError} */
  restore(saved: VirtioTransportState<S>): void {
    const state = this.readState(saved);
    this.#epoch++;
    this.#status = state.status;
    this.#interruptStatus = state.interruptStatus;
    this.deviceFeaturesSel = state.deviceFeaturesSel;
    this.driverFeaturesSel = state.driverFeaturesSel;
    this.#driverFeatures = [state.driverFeatures[0], state.driverFeatures[1]];
    this.queueSel = state.queueSel;
    this.#configGeneration = state.configGeneration;
    this.#queues.forEach((queue, i) => {
      const saved = state.queues[i];
      if (saved) queue.restore(saved);
    });
    this.#updateLevel();
    within("device", () => this.#device.restore(state.device));
    if (this.#running) this.#wake();
  }

  /** The transport as its device sees it. */
  #host(): VirtioHost {
    return {
      take: (queue) => this.#checked(queue, (q) => q.take(this.#liveNow())),
      retake: (queue, head) => this.#checked(queue, (q) => q.retake(head, this.#liveNow())),
      give: (queue, chain, written) => {
        const wanted = chain.live && this.#checked(queue, (q) => q.give(chain, written));
        if (wanted === true) this.#raise(INTERRUPT_USED, queue);
      },
      fail: () => this.#fail(),
      configChanged: () => {
        this.#configGeneration = (this.#configGeneration + 1) >>> 0;
        if (this.#running) this.#raise(INTERRUPT_CONFIG, null);
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
    if (running) this.#raise(INTERRUPT_CONFIG, null);
  }

  #raise(cause: number, queue: number | null): void {
    this.#interruptStatus |= cause;
    this.#updateLevel();
    this.#desc.interrupts.happened?.(queue);
  }

  #updateLevel(): void {
    this.#desc.interrupts.level(this.#interruptStatus !== 0);
  }

  #offered(word: number): number {
    if (word === 0) return this.#device.features | F_INDIRECT_LOW;
    return word === 1 ? this.#required : 0;
  }

  #accepts([low, high]: readonly [number, number]): boolean {
    return (low & ~this.#offered(0)) === 0 && high === this.#required;
  }

  #reset(): void {
    this.#epoch++;
    this.#status = this.#interruptStatus = 0;
    this.deviceFeaturesSel = this.driverFeaturesSel = this.queueSel = 0;
    this.#driverFeatures = [0, 0];
    for (const queue of this.#queues) queue.reset();
    this.#desc.interrupts.reset?.();
    this.#updateLevel();
    this.#device.reset();
  }
}
