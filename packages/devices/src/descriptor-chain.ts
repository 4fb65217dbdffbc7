import type { GuestMemory } from "./ports.js";
import type { Gpa } from "./units.js";

/** A buffer in guest memory, bytes. */
export interface Segment {
  readonly gpa: Gpa;
  readonly length: number;
}

const total = (segments: readonly Segment[]): number => segments.reduce((sum, segment) => sum + segment.length, 0);

/**
 * One request of a driver: buffers the device reads, then buffers it writes (virtio 1.2, 2.7.4), each seen as one run of bytes.
 * A chain dies with the reset of its device: from then on nothing is transferred, so that a late completion of the host
 * cannot write into memory the guest uses for something else.
 */
export class DescriptorChain {
  /** Bytes the device may read. */
  readonly readableLength: number;
  /** Bytes the device may write. */
  readonly writableLength: number;
  readonly #memory: GuestMemory;
  readonly #readable: readonly Segment[];
  readonly #writable: readonly Segment[];
  readonly #alive: () => boolean;

  constructor(
    memory: GuestMemory,
    /** Index of the first descriptor: what the used ring names the chain by. */
    readonly head: number,
    readable: readonly Segment[],
    writable: readonly Segment[],
    alive: () => boolean,
  ) {
    this.#memory = memory;
    this.#readable = readable;
    this.#writable = writable;
    this.#alive = alive;
    this.readableLength = total(readable);
    this.writableLength = total(writable);
  }

  /** How many buffers the chain has: what following it costs. */
  get buffers(): number {
    return this.#readable.length + this.#writable.length;
  }

  /** False once the device was reset. */
  get live(): boolean {
    return this.#alive();
  }

  /** Fills `dst` from byte `offset` of the readable part; false if the part is too short, not RAM, or the chain dead. */
  read(offset: number, dst: Uint8Array): boolean {
    return this.#each(this.#readable, offset, dst, (gpa, bytes) => this.#memory.read(gpa, bytes));
  }

  /** Stores `src` at byte `offset` of the writable part; false as for `read`. What came before the failure is stored. */
  write(offset: number, src: Uint8Array): boolean {
    return this.#each(this.#writable, offset, src, (gpa, bytes) => this.#memory.write(gpa, bytes));
  }

  #each(
    segments: readonly Segment[],
    offset: number,
    bytes: Uint8Array,
    move: (gpa: Gpa, bytes: Uint8Array) => boolean,
  ): boolean {
    if (!this.live) return false;
    let skip = offset;
    let done = 0;
    for (const { gpa, length } of segments) {
      if (done === bytes.length) break;
      if (skip >= length) {
        skip -= length;
        continue;
      }
      const run = Math.min(length - skip, bytes.length - done);
      if (!move(gpa + skip, bytes.subarray(done, done + run))) return false;
      done += run;
      skip = 0;
    }
    return done === bytes.length;
  }
}
