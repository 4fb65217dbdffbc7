import { Page } from "./bits.js";

declare const pfnBrand: unique symbol;
/** Number of a 4 KiB frame of the wasm memory: host byte offset / 4096. 0 is never a frame. */
export type Pfn = number & { readonly [pfnBrand]: "Pfn" };

/** Frames of a 2 MiB page. */
export const RUN = 512;

/** What an arena cannot do. */
export type ArenaErrorCode =
  /** The range is none of whole frames of the memory. */
  | "range"
  /** There are not as many frames. */
  | "exhausted"
  /** More frames are taken than were reserved. */
  | "unreserved";

/** The arena was given a range or asked for a reservation that it cannot hold. */
export class ArenaError extends Error {
  override readonly name = "ArenaError";

  constructor(
    readonly code: ArenaErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/**
 * The frames of the guest: a range of the one `WebAssembly.Memory`, handed out frame by frame.
 *
 * Anonymous memory is zero on demand, so a frame that was never taken costs no RSS. Frames that come back are zeroed when they are taken again.
 * Whoever maps frames reserves them first; {@link take} therefore cannot fail in the middle of a guest access.
 */
export class FrameArena {
  /** The whole memory as bytes; index = host offset. The memory must never grow: that would detach the views. */
  readonly u8: Uint8Array;
  /** The whole memory as little-endian words; index = host offset / 4. */
  readonly u32: Uint32Array;
  /** How many frames the range holds. */
  readonly capacity: number;
  readonly #free: Pfn[] = [];
  readonly #end: number;
  #next: number;
  #reserved = 0;
  #taken = 0;

  /**
   * @param memory allocated once, at its final size
   * @param start first byte of the range; a multiple of 4096, at least 4096 (host offset 0 means "no frame")
   * @param end one past the last byte; a multiple of 4096, at most the size of the memory
   * @throws ArenaError if the range is not as above
   */
  constructor(memory: WebAssembly.Memory, start: number, end: number) {
    const size = memory.buffer.byteLength;
    const aligned = Number.isInteger(start / Page.Size) && Number.isInteger(end / Page.Size);
    if (!aligned || start < Page.Size || end < start || end > size) {
      throw new ArenaError(
        "range",
        `arena [${start}, ${end}) must be 4096-aligned, within [4096, ${size}) and not end before it starts`,
      );
    }
    this.u8 = new Uint8Array(memory.buffer);
    this.u32 = new Uint32Array(memory.buffer);
    this.#next = start / Page.Size;
    this.#end = end / Page.Size;
    this.capacity = this.#end - this.#next;
  }

  /** Frames in use now: taken and not given back. */
  get taken(): number {
    return this.#taken;
  }

  /** Frames that can still be reserved. */
  get available(): number {
    return this.capacity - this.#reserved;
  }

  /** Promises `frames` frames to the caller. @throws ArenaError if fewer are available; nothing is reserved then. */
  reserve(frames: number): void {
    if (frames > this.available) {
      throw new ArenaError("exhausted", `${frames} frames asked for, ${this.available} of ${this.capacity} available`);
    }
    this.#reserved += frames;
  }

  /** Ends a promise made by {@link reserve}; the frames themselves were given back before. */
  unreserve(frames: number): void {
    this.#reserved -= frames;
  }

  /** A zeroed frame. @throws ArenaError if more frames are taken than were reserved (a bug of the caller). */
  take(): Pfn {
    if (this.#taken >= this.#reserved)
      throw new ArenaError("unreserved", `all ${this.#reserved} reserved frames are taken`);
    this.#taken++;
    const reused = this.#free.pop();
    if (reused === undefined) return this.#next++ as Pfn;
    this.u8.fill(0, reused * Page.Size, (reused + 1) * Page.Size);
    return reused;
  }

  /**
   * {@link RUN} zeroed frames in a row, the first of which is a multiple of that; null if none are left that were never taken.
   * @throws ArenaError as {@link take}
   */
  takeRun(): Pfn | null {
    if (this.#taken + RUN > this.#reserved)
      throw new ArenaError("unreserved", `all ${this.#reserved} reserved frames are taken`);
    const first = Math.ceil(this.#next / RUN) * RUN;
    if (first + RUN > this.#end) return null;
    while (this.#next < first) this.#free.push(this.#next++ as Pfn);
    this.#next += RUN;
    this.#taken += RUN;
    return first as Pfn;
  }

  /** Returns a frame obtained from {@link take} or {@link takeRun}. */
  give(pfn: Pfn): void {
    this.#taken--;
    this.#free.push(pfn);
  }
}
