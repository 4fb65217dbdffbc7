import { BusRangeError } from "../bus.js";
import type { MmioDevice, MmioSize, PortDevice, PortSize } from "../ports.js";
import { read } from "../state.js";
import type { PciAddress, PciFunction } from "./function.js";

/** The ports of configuration mechanism #1 and of the reset control register: 0xcf8 to 0xcff. */
export const PCI_PORT = 0xcf8;
export const PCI_PORTS = 8;
/** The reset control register, and what resets the machine when it is written there (ICH9 datasheet, 13.7.5: RST_CPU and SYS_RST). */
export const PCI_RESET_PORT = 0xcf9;
export const PCI_RESET_VALUE = 0x06;

export interface PciHostDesc {
  /** The guest wrote RST_CPU. It expects not to run on. */
  readonly onReset: () => void;
}

export interface PciHostState {
  readonly address: number;
  readonly resetControl: number;
}

const DATA = 0xcfc;
const ENABLE = 2 ** 31;
/** Bus, device, function, register: what the address register keeps besides its enable bit. */
const ADDRESS_BITS = 0x80ff_fffc;
const RST_CPU = 1 << 2;
/** SYS_RST and FULL_RST keep what is written. */
const RESET_WRITABLE = 0x0a;
const shape = read.record<PciHostState>({ address: read.bits(ADDRESS_BITS), resetControl: read.bits(RESET_WRITABLE) });
const ones = (size: MmioSize): number => (size === 4 ? 0xffff_ffff : size === 2 ? 0xffff : 0xff);

/**
 * How the functions of bus 0 are reached: configuration mechanism #1 through ports (PCI 3.0, 3.2.2.3.2) and, as a memory-mapped device, the enhanced
 * mechanism of PCI Express (5.0, 7.2.2): 1 MiB for each bus, 4 KiB for each function.
 *
 * Ports, from {@link PCI_PORT} on: CONFIG_ADDRESS 0xcf8 (double words only), reset control 0xcf9 (bytes only), CONFIG_DATA 0xcfc-0xcff (any width).
 * A function that is not there reads all ones; so does CONFIG_DATA while CONFIG_ADDRESS bit 31 is 0.
 * Emulated: bus 0, all devices and functions. Not emulated: buses behind bridges, the special cycle.
 */
export class PciHost implements PortDevice, MmioDevice {
  readonly #functions = new Map<number, PciFunction>();
  readonly #desc: PciHostDesc;
  #address = 0;
  #resetControl = 0;

  constructor(desc: PciHostDesc) {
    this.#desc = desc;
  }

  /**
   * Puts a function on bus 0.
   * @throws {BusRangeError} `range` for a place that does not exist, `taken` for one that has a function already
   */
  attach(at: PciAddress, pciFunction: PciFunction): void {
    const within = (value: number, count: number): boolean => Number.isInteger(value) && value >= 0 && value < count;
    if (!within(at.device, 32) || !within(at.function, 8))
      throw new BusRangeError("range", `PCI function ${at.device}.${at.function} is not within 0.0-31.7`);
    const key = at.device * 8 + at.function;
    if (this.#functions.has(key))
      throw new BusRangeError("taken", `there is a PCI function ${at.device}.${at.function} already`);
    this.#functions.set(key, pciFunction);
  }

  ioRead(port: number, size: PortSize): number {
    if (port >= DATA) return this.#dataEnabled ? this.mmioRead(this.#target(port), size) : ones(size);
    if (port === PCI_PORT && size === 4) return this.#address;
    return port === PCI_RESET_PORT && size === 1 ? this.#resetControl : ones(size);
  }

  ioWrite(port: number, size: PortSize, value: number): void {
    if (port >= DATA) {
      if (this.#dataEnabled) this.mmioWrite(this.#target(port), size, value);
    } else if (port === PCI_PORT && size === 4) this.#address = (value & ADDRESS_BITS) >>> 0;
    else if (port === PCI_RESET_PORT && size === 1) {
      this.#resetControl = value & RESET_WRITABLE;
      if ((value & RST_CPU) !== 0) this.#desc.onReset();
    }
  }

  mmioRead(offset: number, size: MmioSize): number {
    // An access across a multiple of 4 is done by bytes: no function sees one.
    if ((offset & 3) + size > 4) {
      let value = 0;
      for (let k = 0; k < size; k++) value |= this.mmioRead(offset + k, 1) << (8 * k);
      return value >>> 0;
    }
    return this.#at(offset)?.configRead(offset & 0xfff, size) ?? ones(size);
  }

  mmioWrite(offset: number, size: MmioSize, value: number): void {
    if ((offset & 3) + size > 4)
      for (let k = 0; k < size; k++) this.mmioWrite(offset + k, 1, (value >>> (8 * k)) & 0xff);
    else this.#at(offset)?.configWrite(offset & 0xfff, size, value);
  }

  save(): PciHostState {
    return { address: this.#address, resetControl: this.#resetControl };
  }

  /** @throws {StateError} */
  restore(saved: PciHostState): void {
    const { address, resetControl } = shape(saved);
    this.#address = address;
    this.#resetControl = resetControl;
  }

  get #dataEnabled(): boolean {
    return this.#address >= ENABLE;
  }

  /** What CONFIG_DATA reaches, as an offset of the enhanced mechanism. */
  #target(port: number): number {
    return ((this.#address >>> 8) & 0xffff) * 4096 + (this.#address & 0xfc) + (port - DATA);
  }

  /** The function whose 4 KiB these are. Those of bus 0 come first. */
  #at(offset: number): PciFunction | undefined {
    return this.#functions.get(Math.floor(offset / 4096));
  }
}
