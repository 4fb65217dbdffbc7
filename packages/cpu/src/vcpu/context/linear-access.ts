import type { Halves } from "../registers/halves.js";

/** 8-byte values, low and high halves by turns. */
export interface FrameWords {
  readonly words: Int32Array;
  /** Values, not halves. */
  readonly length: number;
}

/**
 * Linear memory as TypeScript accesses it. Addresses are halves. Sizes are in bytes: 1, 2, 4 or 8 where nothing else is said. What can fail
 * returns false, or a host address less than 0, with an exception or exit pending.
 */
export interface LinearAccess {
  /** Reads into `out`, zero-extended, as signed halves. */
  read(lo: number, hi: number, size: number, out: Halves): boolean;
  write(lo: number, hi: number, size: number, valueLo: number, valueHi: number): boolean;
  /** Reads `out.length` bytes, each page checked before anything is read of it. */
  readBytes(lo: number, hi: number, out: Uint8Array): boolean;
  /** Writes `bytes` after making sure that all of them can be written. */
  writeBytes(lo: number, hi: number, bytes: Uint8Array): boolean;
  /** Host address of `size` readable bytes within one page of plain RAM; 0 if it is none, with nothing pending. */
  hostForPlainRead(lo: number, hi: number, size: number): number;
  /** Host address of `size` bytes that generated code may read without asking; 0 if it may not, or they are not in one page. */
  hostForRead(lo: number, hi: number, size: number): number;
  /** Host address for writing plain RAM without code in it, within one page; 0 if that is not to be had, with nothing pending. */
  hostForWrite(lo: number, hi: number, size: number): number;
  /**
   * Host address of `size` bytes within one page of plain RAM that are about to be written: what was decoded from them is void. 0 if it is none, or somebody looks
   * on, with nothing pending; -1 with a fault pending.
   */
  hostForPlainWrite(lo: number, hi: number, size: number): number;
  /** `read` as the processor itself: descriptor tables, TSS. */
  readSystem(lo: number, hi: number, size: number, out: Halves): boolean;
  /** Writes as the processor itself. */
  writeSystem(lo: number, hi: number, size: number, valueLo: number, valueHi?: number): boolean;
  /** Writes at the privilege an event handler will have: `user` or supervisor, as an explicit access. */
  writeAt(lo: number, hi: number, size: number, valueLo: number, valueHi: number, user: boolean): boolean;
  /** Reads the 8 bytes `offset` >= 0 bytes above RSP, where the read TLB in force has their page; else false, with nothing pending. */
  peekKnown(offset: number, out: Halves): boolean;
  /** Writes a frame upwards from `hi:lo`, where the write TLB of the level has its page; else false, with nothing written or pending. */
  pushKnown(lo: number, hi: number, frame: FrameWords, user: boolean): boolean;
  /** Whether the byte at `hi:lo` can be accessed with the `Access` bits given. Nothing is read or written. */
  probe(lo: number, hi: number, access: number): boolean;
  /** The same for writing at the current privilege. */
  probeWrite(lo: number, hi: number): boolean;
  /** Probes `size` bytes, at most a page, for writing: a fault names the first byte, or the start of the second page. */
  probeWriteRange(lo: number, hi: number, size: number): boolean;
  /** Probes the top of the stack of the current mode for writing. */
  probeStack(size: number): boolean;
  /**
   * #AC(0) for an address that is not a multiple of `size`, where alignment is checked (SDM vol. 3, table 6-7). It comes before page
   * faults, after #GP and #SS of the address, and never for operands of 16 bytes (recorded from hardware).
   */
  aligned(lo: number, hi: number, size: number): boolean;
}
