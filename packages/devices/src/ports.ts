import type { Gpa } from "./units.js";

/**
 * The ports every device speaks through. A device knows these interfaces and nothing else; a system file connects them.
 */

/**
 * One interrupt wire. `set` gives its level; setting the level it already has changes nothing.
 * An edge is `set(true); set(false)`.
 */
export interface IrqLine {
  set(level: boolean): void;
}

/**
 * Guest-physical memory as a bus master sees it.
 * Both calls are all or nothing: `false` is a failed transfer, by which nothing was moved. Some byte of the range is not RAM (or, for `write`, is
 * read-only), or is private to the guest.
 */
export interface GuestMemory {
  /** Fills `dst` from guest-physical address `gpa` (bytes, < 2^53). */
  read(gpa: Gpa, dst: Uint8Array): boolean;
  /** Stores `src` at guest-physical address `gpa` (bytes, < 2^53). */
  write(gpa: Gpa, src: Uint8Array): boolean;
  /**
   * Whether `[gpa, gpa + size)` can be read and written now; it can from then on. If not, `retry` is called when it can, and never from inside this call. Absent: all
   * memory can, always.
   */
  ready?(gpa: Gpa, size: number, retry: () => void): boolean;
}

/** A scheduled call that has not happened yet. Cancelling one that has is allowed and does nothing. */
export interface Timer {
  cancel(): void;
}

/** The virtual clock of the machine. */
export interface Clock {
  /** Virtual time in ns since the machine was made; monotonic, may have a fraction. */
  now(): number;
  /** Calls `fn` once, as soon as `now() >= atNs`, and never from inside `schedule` itself. */
  schedule(atNs: number, fn: () => void): Timer;
}

/**
 * When a device works on what takes longer than an access: outside of the guest's accesses, a bounded part at a time, so that no guest
 * decides how long the host's event loop is kept.
 */
export interface Turns {
  /** Calls `fn` once, soon, and never from inside this call. */
  later(fn: () => void): void;
  /**
   * Something the guest will see the end of is under way outside the machine, until the returned function is called. A machine whose
   * time is counted stands still meanwhile, so that the guest cannot tell how long it took. Call `later` for what follows before that function.
   */
  begin(): () => void;
}

/** Widths of a port access in bytes. */
export type PortSize = 1 | 2 | 4;

/** Widths of a memory-mapped access in bytes, as a device sees it: `MmioBus` splits 8-byte accesses into two halves. */
export type MmioSize = 1 | 2 | 4;

/** A device in the I/O port space. */
export interface PortDevice {
  /** The widest access the device takes, in bytes (default 4). `PortBus` splits wider ones, lowest address first. */
  readonly ioWidth?: PortSize;
  /** Reads `size` bytes at the absolute `port` (0-0xffff), little-endian, as an unsigned number. */
  ioRead(port: number, size: PortSize): number;
  /** Writes the low `size` bytes of `value` (unsigned) at the absolute `port`. */
  ioWrite(port: number, size: PortSize, value: number): void;
}

/** A device in the guest-physical address space. Offsets are bytes from the start of the device's own range. */
export interface MmioDevice {
  /** Reads `size` bytes at `offset`, little-endian, as an unsigned number. */
  mmioRead(offset: number, size: MmioSize): number;
  /** Writes the low `size` bytes of `value` (unsigned) at `offset`. */
  mmioWrite(offset: number, size: MmioSize, value: number): void;
}
