import type { IrqLine, MmioDevice, MmioSize, PortDevice, PortSize } from "./ports.js";
import { read } from "./state.js";

/** Ports of the register block: scratch, flush, scratch again. */
export const TEST_DEVICE_PORTS = 12;
/** Bytes of its memory-mapped scratch area. */
export const TEST_DEVICE_MEMORY = 0x10000;

export interface TestDeviceDesc {
  /** The interrupt wires that {@link TestDevice.irqPorts} drives, by number. */
  readonly lines: readonly IrqLine[];
}

export interface TestDeviceState {
  readonly scratch: number;
  readonly memory: Uint8Array;
}

const readTestDevice = read.record<TestDeviceState>({ scratch: read.u32, memory: read.bytes(TEST_DEVICE_MEMORY) });

/**
 * The device that test programs without an operating system exercise a machine with; compatible with QEMU's `pc-testdev`
 * (hw/misc/pc-testdev.c).
 *
 * Ports from a base that is a multiple of 4 (0xe0): 0-3 a 32-bit scratch register, read and written in any part of it; 4-7 flush page,
 * which takes the address of a page whose cached translations the host must drop; 8-11 the scratch register again.
 * `irqPorts`, of its own base (0x2000): a byte written to port n drives interrupt line n high, a zero low. Reads give all ones.
 * Memory: 64 KiB of scratch bytes.
 *
 * Emulated: all of it. Flush page does nothing, since no translation is kept on the host's side that could be out of date.
 */
export class TestDevice implements PortDevice, MmioDevice {
  /** One port a line. */
  readonly irqPorts: PortDevice;
  readonly #scratch = new Uint8Array(4);
  readonly #memory = new Uint8Array(TEST_DEVICE_MEMORY);

  constructor({ lines }: TestDeviceDesc) {
    this.irqPorts = {
      ioWidth: 1,
      ioRead: () => 0xff,
      ioWrite: (port, _size, value) => lines[port % 32]?.set(value !== 0),
    };
  }

  ioRead(port: number, size: PortSize): number {
    return (port & 4) === 0 ? load(this.#scratch, port & 3, size) : size === 4 ? 0xffffffff : 2 ** (8 * size) - 1;
  }

  ioWrite(port: number, size: PortSize, value: number): void {
    if ((port & 4) === 0) store(this.#scratch, port & 3, size, value);
  }

  mmioRead(offset: number, size: MmioSize): number {
    return load(this.#memory, offset, size);
  }

  mmioWrite(offset: number, size: MmioSize, value: number): void {
    store(this.#memory, offset, size, value);
  }

  save(): TestDeviceState {
    return { scratch: load(this.#scratch, 0, 4), memory: this.#memory.slice() };
  }

  /** @throws {StateError} */
  restore(saved: TestDeviceState): void {
    const state = readTestDevice(saved);
    store(this.#scratch, 0, 4, state.scratch);
    this.#memory.set(state.memory);
  }
}

/** Bytes behind the end are zero. */
function load(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let k = size - 1; k >= 0; k--) value = value * 256 + (bytes[at + k] ?? 0);
  return value;
}

/** Bytes behind the end are dropped. */
function store(bytes: Uint8Array, at: number, size: number, value: number): void {
  for (let k = 0; k < size; k++) if (at + k < bytes.length) bytes[at + k] = value >>> (8 * k);
}
