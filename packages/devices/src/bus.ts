import type { MmioDevice, MmioSize, PortDevice, PortSize } from "./ports.js";
import type { Gpa } from "./units.js";

/** The range does not exist, or has a device already. */
export type BusRangeErrorCode = "range" | "taken";

/** Two devices were given the same address, or a device an address that does not exist. */
export class BusRangeError extends RangeError {
  override readonly name = "BusRangeError";

  constructor(
    readonly code: BusRangeErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** Where an unmapped byte comes from: nobody drives the bus, so every line reads 1. */
const floating = (size: number): number => (size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff);

const PORTS = 0x10000;

/**
 * The 64 Ki I/O ports: ranges of ports, each owned by a device.
 * Ports nobody owns read as all ones and ignore writes. An access that is wider than the device takes
 * (`PortDevice.ioWidth`), or that straddles two owners, is done byte by byte, lowest port first, as an 8-bit bus does it.
 */
export class PortBus {
  readonly #owners = new Map<number, PortDevice>();

  /**
   * Gives `count` ports from `base` to `device` and returns the undo.
   * @throws {BusRangeError} if the range leaves 0-0xffff or one of its ports has an owner. Nothing has changed then.
   */
  attach(base: number, count: number, device: PortDevice): () => void {
    if (!Number.isInteger(base) || !Number.isInteger(count) || base < 0 || count < 1 || base + count > PORTS)
      throw new BusRangeError("range", `ports ${base}+${count} are not within 0-65535`);
    for (let port = base; port < base + count; port++)
      if (this.#owners.has(port)) throw new BusRangeError("taken", `port 0x${port.toString(16)} already has a device`);
    for (let port = base; port < base + count; port++) this.#owners.set(port, device);
    return () => {
      for (let port = base; port < base + count; port++)
        if (this.#owners.get(port) === device) this.#owners.delete(port);
    };
  }

  /**
   * The first of `count` ports within `from` to `to` - 1 that nobody owns, at a multiple of `count` rounded up to a power of two; null if there
   * are none.
   */
  free(count: number, from = 0, to = PORTS): number | null {
    const step = 2 ** Math.ceil(Math.log2(count));
    for (let base = Math.ceil(from / step) * step; base + count <= to; base += step) {
      let port = base;
      while (port < base + count && !this.#owners.has(port)) port++;
      if (port === base + count) return base;
    }
    return null;
  }

  /** Reads `size` bytes at `port`; unsigned. */
  read(port: number, size: PortSize): number {
    const device = this.#owners.get(port);
    if (device && this.#takesWhole(device, port, size)) return device.ioRead(port, size);
    if (size === 1) return 0xff;
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.#owners.get(port + i)?.ioRead(port + i, 1) ?? 0xff) << (8 * i);
    return value >>> 0;
  }

  /** Writes the low `size` bytes of `value` at `port`. */
  write(port: number, size: PortSize, value: number): void {
    const device = this.#owners.get(port);
    if (device && this.#takesWhole(device, port, size)) device.ioWrite(port, size, value);
    else if (size > 1)
      for (let i = 0; i < size; i++) this.#owners.get(port + i)?.ioWrite(port + i, 1, (value >>> (8 * i)) & 0xff);
  }

  #takesWhole(device: PortDevice, port: number, size: PortSize): boolean {
    if (size > (device.ioWidth ?? 4)) return false;
    for (let i = 1; i < size; i++) if (this.#owners.get(port + i) !== device) return false;
    return true;
  }
}

interface Window {
  readonly start: number;
  readonly end: number;
  readonly device: MmioDevice;
}

/**
 * The memory-mapped devices: windows of guest-physical addresses.
 * Addresses nobody owns read as all ones and ignore writes. An 8-byte access reaches its device as two 4-byte ones, low
 * half first; no other access is split, and one that leaves its window counts as unmapped.
 */
export class MmioBus {
  /** High 32 bits of the last 8-byte `read`. */
  hi = 0;
  #windows: readonly Window[] = [];

  /**
   * Gives `size` bytes from guest-physical `base` to `device` and returns the undo.
   * @throws {BusRangeError} if the window is empty, not within 0-2^53, or overlaps another. Nothing has changed then.
   */
  attach(base: number, size: number, device: MmioDevice): () => void {
    if (!Number.isSafeInteger(base) || !Number.isSafeInteger(base + size) || base < 0 || size < 1)
      throw new BusRangeError("range", `MMIO window ${base}+${size} is not within 0-2^53`);
    const window: Window = { start: base, end: base + size, device };
    const clash = this.#windows.find((other) => other.start < window.end && window.start < other.end);
    if (clash)
      throw new BusRangeError(
        "taken",
        `MMIO window 0x${base.toString(16)}+${size} overlaps 0x${clash.start.toString(16)}`,
      );
    this.#windows = [...this.#windows, window].sort((a, b) => a.start - b.start);
    return () => {
      this.#windows = this.#windows.filter((other) => other !== window);
    };
  }

  /**
   * The first of `size` bytes within `from` to `to` - 1 that nobody owns, at a multiple of `size` rounded up to a power of two; null if
   * there are none.
   */
  free(size: number, from: number, to: number): number | null {
    const step = 2 ** Math.ceil(Math.log2(size));
    for (let base = Math.ceil(from / step) * step; base + size <= to; ) {
      const clash = this.#windows.find((other) => other.start < base + size && base < other.end);
      if (clash === undefined) return base;
      base = Math.ceil(clash.end / step) * step;
    }
    return null;
  }

  /** True if a device owns the byte at `gpa`. */
  has(gpa: Gpa): boolean {
    return this.#find(gpa, 1) !== undefined;
  }

  /** Reads `size` bytes at `gpa`: returns the low 32 bits, unsigned; for 8 bytes the high half is in `hi`. */
  read(gpa: Gpa, size: MmioSize | 8): number {
    const window = this.#find(gpa, size);
    if (size !== 8) return window ? window.device.mmioRead(gpa - window.start, size) : floating(size);
    const lo = window ? window.device.mmioRead(gpa - window.start, 4) : 0xffffffff;
    this.hi = window ? window.device.mmioRead(gpa + 4 - window.start, 4) : 0xffffffff;
    return lo;
  }

  /** Writes `size` bytes at `gpa`: `lo` holds the low 32 bits, `hi` the high half of an 8-byte write. */
  write(gpa: Gpa, size: MmioSize | 8, lo: number, hi = 0): void {
    const window = this.#find(gpa, size);
    if (!window) return;
    window.device.mmioWrite(gpa - window.start, size === 8 ? 4 : size, lo);
    if (size === 8) window.device.mmioWrite(gpa + 4 - window.start, 4, hi);
  }

  #find(gpa: Gpa, size: number): Window | undefined {
    let low = 0;
    let high = this.#windows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const window = this.#windows[middle];
      if (window && window.end <= gpa) low = middle + 1;
      else high = middle;
    }
    const window = this.#windows[low];
    return window && gpa >= window.start && gpa + size <= window.end ? window : undefined;
  }
}
