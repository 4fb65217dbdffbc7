import { Command, ConfigSpace, type ConfigSpaceState, Header, Status } from "./pci/config-space.js";
import type { PciFunction } from "./pci/function.js";
import { MemoryBars } from "./pci/memory-bars.js";
import type { MsiMessage } from "./pci/msi.js";
import { MSIX_CAPABILITY_SIZE, MSIX_MAX_VECTORS, MSIX_MEMORY_SIZE, Msix, type MsixState } from "./pci/msix.js";
import type { PciMemory } from "./pci/windows.js";
import type { GuestMemory, IrqLine, MmioDevice, MmioSize, Turns } from "./ports.js";
import { read } from "./state.js";
import type { VirtioDevice } from "./virtio-device.js";
import {
  COMMON_SIZE,
  NOTIFY_MULTIPLIER,
  VIRTIO_PCI_MEMORY_SIZE,
  VirtioPciRegion,
  VirtioPciRegisters,
  type VirtioPciVectors,
} from "./virtio-pci-registers.js";
import { VirtioTransport, type VirtioTransportState } from "./virtio-transport.js";

export interface VirtioPciDesc<S> {
  readonly device: VirtioDevice<S>;
  readonly memory: GuestMemory;
  /** When the device works: never within an access of the guest. */
  readonly turns: Turns;
  /** The device reaches only memory that the driver gives it, which the driver must know: VIRTIO_F_ACCESS_PLATFORM is offered and required. Default false. */
  readonly accessPlatform?: boolean;
  /** INTA, for drivers without MSI-X: level-triggered. */
  readonly irq: IrqLine;
  /** What the interrupt line register says at first, as firmware leaves it: the interrupt that `irq` is. 0-255, default 255: not known. */
  readonly interruptLine?: number;
  readonly sendMsi: (message: MsiMessage) => void;
  /** What the function can decode. */
  readonly decode: PciMemory;
}

export interface VirtioPciState<S> {
  readonly config: ConfigSpaceState;
  readonly msix: MsixState;
  readonly vectors: VirtioPciVectors;
  readonly transport: VirtioTransportState<S>;
}

const VENDOR = 0x1af4;
/** Device IDs of virtio begin here; the device's own number is added. */
const FIRST_DEVICE = 0x1040;
/** Of a subsystem that is none of the transitional devices' (4.1.2.1: 0x40 or above). */
const SUBSYSTEM = 0x1100;
/** Classes by device ID: network, block, console; others are none of PCI's. */
const CLASSES: ReadonlyMap<number, number> = new Map([
  [1, 0x02_0000],
  [2, 0x01_0000],
  [3, 0x07_8000],
]);
const OTHER_CLASS = 0x00_ff00;
/** Base address registers: the device's registers, and MSI-X. */
const REGISTERS_BAR = 0;
const MSIX_BAR = 1;
const INTA = 1;

const VENDOR_CAPABILITY = 0x09;
/** Of a structure: common configuration, notifications, interrupt status, the device's configuration, access through configuration space. */
const Kind = { Common: 1, Notify: 2, Isr: 3, Device: 4, PciConfig: 5 } as const;
const FIRST_CAPABILITY = 0x40;
const CAPABILITY_SIZE = 16;
/** Offsets in a structure's capability; what is behind them is the multiplier or the data. */
const Cap = { Length: 2, Kind: 3, Bar: 4, Offset: 8, StructureLength: 12, More: 16 } as const;

/**
 * The virtio-pci transport of modern devices (virtio 1.2, 4.1): a function whose registers are in memory bar 0, with MSI-X in memory bar 1.
 *
 * Capabilities: MSI-X with a message for the configuration and one for each queue, up to 128; common configuration, notifications, interrupt status, the device's
 * configuration if it has any, and PCI configuration access (4.1.4.9), by which firmware that maps no memory reaches the bars.
 * Emulated: see {@link VirtioPciRegisters}; INTA with its disable and status bits. While MSI-X is on, INTA stays low.
 * Not emulated: the legacy interface, I/O bars, power management. The bus master bit is stored: a driver without it is served all the same.
 */
export class VirtioPci<S> implements PciFunction {
  readonly #config: ConfigSpace;
  readonly #bars: MemoryBars;
  readonly #msix: Msix;
  readonly #core: VirtioTransport<S>;
  readonly #registers: VirtioPciRegisters<S>;
  readonly #irq: IrqLine;
  /** Where the capability for access through configuration space is. */
  readonly #window: number;
  #pending = false;

  constructor(desc: VirtioPciDesc<S>) {
    const { device, memory, turns, accessPlatform = false, irq, interruptLine = 0xff } = desc;
    this.#irq = irq;
    this.#config = new ConfigSpace({
      ...{ vendor: VENDOR, device: FIRST_DEVICE + device.deviceId, revision: 1 },
      ...{ subsystemVendor: VENDOR, subsystem: SUBSYSTEM, classCode: CLASSES.get(device.deviceId) ?? OTHER_CLASS },
    });
    const config = this.#config;
    config.put(Header.Command, 2, 0, Command.Memory | Command.BusMaster | Command.InterruptDisable);
    config.put(Header.Status, 2, Status.Capabilities);
    config.put(Header.InterruptLine, 1, interruptLine, 0xff);
    config.put(Header.InterruptPin, 1, INTA);
    config.put(Header.Capabilities, 1, FIRST_CAPABILITY);
    this.#core = new VirtioTransport({
      ...{ device, memory, turns, accessPlatform },
      interrupts: {
        level: (pending) => {
          this.#pending = pending;
          this.#updateIrq();
        },
        happened: (queue) => this.#msix.signal(this.#registers.vectorOf(queue)),
        reset: () => this.#registers.reset(),
      },
    });
    const vectors = Math.min(1 + this.#core.queueCount, MSIX_MAX_VECTORS);
    this.#registers = new VirtioPciRegisters(this.#core, vectors);
    const next = FIRST_CAPABILITY + MSIX_CAPABILITY_SIZE;
    const capability = { capability: FIRST_CAPABILITY, next, bar: MSIX_BAR };
    this.#msix = new Msix({ config, ...capability, vectors, send: desc.sendMsi });
    this.#window = putCapabilities(config, next, this.#core.queueCount, device.config.length);
    this.#bars = new MemoryBars(config, desc.decode, [
      { index: REGISTERS_BAR, size: VIRTIO_PCI_MEMORY_SIZE, device: this.#registers },
      { index: MSIX_BAR, size: MSIX_MEMORY_SIZE, device: this.#msix },
    ]);
  }

  configRead(offset: number, size: MmioSize): number {
    const data = this.#window + Cap.More;
    if (offset >= data && offset < data + 4) {
      const access = this.#windowAccess();
      if (access !== null) this.#config.put(data, access.size, access.device.mmioRead(access.at, access.size));
    }
    return this.#config.read(offset, size);
  }

  configWrite(offset: number, size: MmioSize, value: number): void {
    this.#config.write(offset, size, value);
    const data = this.#window + Cap.More;
    if (offset >= data && offset < data + 4) {
      const access = this.#windowAccess();
      access?.device.mmioWrite(access.at, access.size, this.#config.read(data, access.size));
      return;
    }
    this.#updateAll();
  }

  save(): VirtioPciState<S> {
    const [config, msix, vectors] = [this.#config.save(), this.#msix.save(), this.#registers.save()];
    return { config, msix, vectors, transport: this.#core.save() };
  }

  /** @throws {StateError} */
  restore(saved: VirtioPciState<S>): void {
    const state = read.record<VirtioPciState<S>>({
      config: (value, path) => this.#config.readState(value, path),
      msix: (value, path) => this.#msix.readState(value, path),
      vectors: (value, path) => this.#registers.readState(value, path),
      transport: (value, path) => this.#core.readState(value, path),
    })(saved);
    this.#config.restore(state.config);
    this.#msix.restore(state.msix);
    this.#registers.restore(state.vectors);
    this.#updateAll();
    this.#core.restore(state.transport);
  }

  #updateAll(): void {
    this.#bars.update();
    this.#msix.update();
    this.#updateIrq();
  }

  /** INTA, and the status register's bit of it, which says so also where the wire is not driven. */
  #updateIrq(): void {
    const config = this.#config;
    config.put(Header.Status, 2, Status.Capabilities | (this.#pending ? Status.Interrupt : 0));
    const disabled = (config.read(Header.Command, 2) & Command.InterruptDisable) !== 0;
    this.#irq.set(this.#pending && !disabled && !this.#msix.enabled);
  }

  /** The access that the capability's fields describe; null if there is no such place. */
  #windowAccess(): { readonly device: MmioDevice; readonly at: number; readonly size: MmioSize } | null {
    const [bar, at] = [this.#config.read(this.#window + Cap.Bar, 1), this.#config.read(this.#window + Cap.Offset, 4)];
    const length = this.#config.read(this.#window + Cap.StructureLength, 4);
    if (length !== 1 && length !== 2 && length !== 4) return null;
    const limit = bar === REGISTERS_BAR ? VIRTIO_PCI_MEMORY_SIZE : bar === MSIX_BAR ? MSIX_MEMORY_SIZE : 0;
    if (at % length !== 0 || at + length > limit) return null;
    return { device: bar === MSIX_BAR ? this.#msix : this.#registers, at, size: length };
  }
}

/** Writes the chain of virtio's capabilities from `first` on, and returns where that for access through configuration space is. */
function putCapabilities(config: ConfigSpace, first: number, queues: number, deviceBytes: number): number {
  const structures = [
    { kind: Kind.Common, at: VirtioPciRegion.Common, length: COMMON_SIZE },
    { kind: Kind.Notify, at: VirtioPciRegion.Notify, length: queues * NOTIFY_MULTIPLIER, more: NOTIFY_MULTIPLIER },
    { kind: Kind.Isr, at: VirtioPciRegion.Isr, length: 1 },
    ...(deviceBytes === 0 ? [] : [{ kind: Kind.Device, at: VirtioPciRegion.Device, length: deviceBytes }]),
    { kind: Kind.PciConfig, at: 0, length: 0, more: 0 },
  ];
  let at = first;
  for (const { kind, at: offset, length, more } of structures) {
    const size = CAPABILITY_SIZE + (more === undefined ? 0 : 4);
    config.put(at, 1, VENDOR_CAPABILITY);
    config.put(at + 1, 1, kind === Kind.PciConfig ? 0 : at + size);
    config.put(at + Cap.Length, 1, size);
    config.put(at + Cap.Kind, 1, kind);
    config.put(at + Cap.Bar, 1, REGISTERS_BAR);
    config.put(at + Cap.Offset, 4, offset);
    config.put(at + Cap.StructureLength, 4, length);
    if (more !== undefined) config.put(at + Cap.More, 4, more);
    if (kind !== Kind.PciConfig) at += size;
  }
  config.put(at + Cap.Bar, 1, REGISTERS_BAR, 0xff);
  for (const field of [Cap.Offset, Cap.StructureLength, Cap.More]) config.put(at + field, 4, 0, 0xffff_ffff);
  return at;
}
