import type { MmioSize } from "../ports.js";
import { at, read, StateError } from "../state.js";

/** Registers of a type 0 configuration header (PCI 3.0, 6.1). */
export const Header = {
  VendorId: 0x00,
  DeviceId: 0x02,
  Command: 0x04,
  Status: 0x06,
  Revision: 0x08,
  ClassCode: 0x09,
  HeaderType: 0x0e,
  Bar0: 0x10,
  SubsystemVendorId: 0x2c,
  SubsystemId: 0x2e,
  Capabilities: 0x34,
  InterruptLine: 0x3c,
  InterruptPin: 0x3d,
} as const;

/** Bits of the command register. */
export const Command = { Memory: 1 << 1, BusMaster: 1 << 2, InterruptDisable: 1 << 10 } as const;
/** Bits of the status register. */
export const Status = { Interrupt: 1 << 3, Capabilities: 1 << 4 } as const;

export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  readonly revision?: number;
  /** Base class, subclass and interface: 24 bits. */
  readonly classCode: number;
  readonly subsystemVendor?: number;
  readonly subsystem?: number;
  /** There may be functions beside function 0. */
  readonly multifunction?: boolean;
}

export interface ConfigSpaceState {
  /** All of {@link ConfigSpace}'s bytes. */
  readonly bytes: readonly number[];
}

const SIZE = 256;
const MULTIFUNCTION = 0x80;
const shape = read.record<ConfigSpaceState>({ bytes: read.list(read.u8, SIZE) });

/**
 * The 256 bytes of configuration space that a conventional PCI function has, header type 0 (PCI 3.0 chapter 6): each bit is read-only or keeps what is
 * written. Beyond them reads give all ones, as nobody answers there.
 */
export class ConfigSpace {
  readonly #bytes = new Uint8Array(SIZE);
  readonly #writable = new Uint8Array(SIZE);

  constructor(identity: PciIdentity) {
    this.put(Header.VendorId, 2, identity.vendor);
    this.put(Header.DeviceId, 2, identity.device);
    this.put(Header.Revision, 1, identity.revision ?? 0);
    this.put(Header.ClassCode, 1, identity.classCode & 0xff);
    this.put(Header.ClassCode + 1, 2, identity.classCode >>> 8);
    this.put(Header.HeaderType, 1, identity.multifunction === true ? MULTIFUNCTION : 0);
    this.put(Header.SubsystemVendorId, 2, identity.subsystemVendor ?? 0);
    this.put(Header.SubsystemId, 2, identity.subsystem ?? 0);
  }

  /** Sets a register of `size` bytes and, if told, which of its bits writes change. */
  put(offset: number, size: MmioSize, value: number, writable?: number): void {
    for (let k = 0; k < size; k++) {
      this.#bytes[offset + k] = value >>> (8 * k);
      if (writable !== undefined) this.#writable[offset + k] = writable >>> (8 * k);
    }
  }

  read(offset: number, size: MmioSize): number {
    let value = 0;
    for (let k = 0; k < size; k++) value |= (this.#bytes[offset + k] ?? 0xff) << (8 * k);
    return value >>> 0;
  }

  write(offset: number, size: MmioSize, value: number): void {
    for (let k = 0; k < size; k++) {
      const [old = 0, mask = 0] = [this.#bytes[offset + k], this.#writable[offset + k]];
      this.#bytes[offset + k] = (old & ~mask) | ((value >>> (8 * k)) & mask);
    }
  }

  save(): ConfigSpaceState {
    return { bytes: [...this.#bytes] };
  }

  /** What a saved state of this function says: bits that are read-only are what they are here. @throws {StateError} */
  readState(value: unknown, path = ""): ConfigSpaceState {
    const state = shape(value, path);
    for (const [k, byte] of state.bytes.entries()) {
      // The device itself sets and clears this one.
      const changes = (this.#writable[k] ?? 0) | (k === Header.Status ? Status.Interrupt : 0);
      const own = this.#bytes[k] ?? 0;
      if (((byte ^ own) & ~changes) !== 0)
        throw new StateError(
          at(path, `bytes[${k}]`),
          `is ${byte}, expected ${own} in bits ${(~changes & 0xff).toString(16)} (hexadecimal)`,
        );
    }
    return state;
  }

  /** @throws {StateError} */
  restore(saved: ConfigSpaceState): void {
    const { bytes } = this.readState(saved);
    for (let k = 0; k < SIZE; k++) this.#bytes[k] = bytes[k] ?? 0;
  }
}
