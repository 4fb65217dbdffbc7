import { DescriptorChain, type Segment } from "./descriptor-chain.js";
import type { GuestMemory } from "./ports.js";
import { read, StateError } from "./state.js";
import type { Gpa } from "./units.js";

export interface VirtqueueState {
  readonly size: number;
  readonly ready: boolean;
  readonly descriptors: number;
  readonly driver: number;
  readonly device: number;
  readonly nextAvail: number;
  readonly nextUsed: number;
}

const shape = read.record<VirtqueueState>({
  size: read.u32,
  ready: read.flag,
  descriptors: read.address,
  driver: read.address,
  device: read.address,
  nextAvail: read.u16,
  nextUsed: read.u16,
});

const DESC_NEXT = 1;
const DESC_WRITE = 2;
const DESC_INDIRECT = 4;
const DESC_SIZE = 16;
const AVAIL_NO_INTERRUPT = 1;
const MAX_CHAIN_BYTES = 2 ** 32 - 1;

/** An address with its low 32 bits replaced, as transports write addresses by halves. */
export const withLow = (value: number, low: number): number => Math.floor(value / 2 ** 32) * 2 ** 32 + low;
/** An address with its high 32 bits replaced. */
export const withHigh = (value: number, high: number): number => high * 2 ** 32 + (value % 2 ** 32);

/**
 * The device side of a split virtqueue (virtio 1.2, 2.7): takes descriptor chains from the available ring and gives them
 * back through the used ring.
 *
 * Emulated: direct and indirect descriptors, VIRTQ_AVAIL_F_NO_INTERRUPT. Not emulated: event indexes, packed rings.
 * The rings are the guest's and may hold anything. Whatever the specification forbids stops the queue for good: `broken`
 * says why and nothing more is taken or given. A chain is never followed further than the queue has entries.
 */
export class Virtqueue {
  /** Entries; a power of two up to `maxSize`. */
  size: number;
  ready = false;
  /** Guest-physical addresses of the descriptor table, the driver's (available) and the device's (used) ring. */
  descriptors = 0;
  driver = 0;
  device = 0;
  /** Why the queue stopped; null while it works. */
  broken: string | null = null;
  #nextAvail = 0;
  #nextUsed = 0;
  readonly #scratch = new Uint8Array(DESC_SIZE);
  readonly #view = new DataView(this.#scratch.buffer);
  readonly #memory: GuestMemory;
  readonly #retry: () => void;

  /** @param retry called when a chain may be had that {@link take} or {@link retake} had to leave, because its memory had not arrived */
  constructor(
    memory: GuestMemory,
    readonly maxSize: number,
    retry: () => void = () => {},
  ) {
    this.#memory = memory;
    this.#retry = retry;
    this.size = maxSize;
  }

  /** Puts the queue to work; false, and `broken`, if its size or addresses cannot be (2.7: alignment 16, 2 and 4). */
  enable(): boolean {
    this.#nextAvail = this.#nextUsed = 0;
    this.broken ??= this.#fault(this);
    this.ready = this.broken === null;
    return this.ready;
  }

  /** Why a queue cannot work so (2.7: alignment 16, 2 and 4); null if it can. */
  #fault({
    size,
    descriptors,
    driver,
    device,
  }: Omit<VirtqueueState, "ready" | "nextAvail" | "nextUsed">): string | null {
    if (!(size > 0 && size <= this.maxSize && (size & (size - 1)) === 0))
      return `size ${size} is not a power of two up to ${this.maxSize}`;
    const safe = [descriptors, driver, device].every((at) => Number.isSafeInteger(at + 2 ** 20));
    return safe && descriptors % 16 === 0 && driver % 2 === 0 && device % 4 === 0
      ? null
      : "a ring address is misaligned or beyond 2^53";
  }

  /** Back to the state after power-up. */
  reset(): void {
    this.size = this.maxSize;
    this.ready = false;
    this.descriptors = this.driver = this.device = 0;
    this.#nextAvail = this.#nextUsed = 0;
    this.broken = null;
  }

  /**
   * Takes the next available chain; null if there is none, the queue is broken, or memory of the rings or the chain has not arrived. All that a chain names can be
   * reached for as long as it lives.
   * @param live says whether the chain may still be used; see {@link DescriptorChain}.
   */
  take(live: () => boolean): DescriptorChain | null {
    if (!this.ready || this.broken !== null || !this.#hasRings()) return null;
    const available = this.#u16(this.driver + 2);
    if (available === null) return null;
    const waiting = (available - this.#nextAvail) & 0xffff;
    if (waiting === 0) return null;
    if (waiting > this.size) return this.#fail(`${waiting} chains available in a queue of ${this.size}`);
    const head = this.#u16(this.driver + 4 + 2 * (this.#nextAvail % this.size));
    if (head === null) return null;
    const chain = this.#walk(head, live);
    if (chain) this.#nextAvail = (this.#nextAvail + 1) & 0xffff;
    return chain;
  }

  /** Follows the chain at `head` again: one that was taken before a save and not given back. Null as for {@link take}. */
  retake(head: number, live: () => boolean): DescriptorChain | null {
    return this.ready && this.broken === null && this.#hasRings() ? this.#walk(head, live) : null;
  }

  /** Gives a chain back with the number of bytes written into it; true if the driver wants an interrupt. */
  give(chain: DescriptorChain, written: number): boolean {
    if (!this.ready || this.broken !== null) return false;
    this.#view.setUint32(0, chain.head, true);
    this.#view.setUint32(4, written, true);
    const element = this.device + 4 + 8 * (this.#nextUsed % this.size);
    if (!this.#memory.write(element, this.#scratch.subarray(0, 8)))
      return this.#fail("used ring cannot be reached") !== null;
    this.#nextUsed = (this.#nextUsed + 1) & 0xffff;
    this.#view.setUint16(0, this.#nextUsed, true);
    if (!this.#memory.write(this.device + 2, this.#scratch.subarray(0, 2)))
      return this.#fail("used ring cannot be reached") !== null;
    const flags = this.#u16(this.driver);
    return flags !== null && (flags & AVAIL_NO_INTERRUPT) === 0;
  }

  save(): VirtqueueState {
    const { size, ready, descriptors, driver, device } = this;
    const [nextAvail, nextUsed] = [this.#nextAvail, this.#nextUsed];
    return { size, ready, descriptors, driver, device, nextAvail, nextUsed };
  }

  /** What a saved state of this queue says. @throws {StateError} */
  readState(value: unknown, path = ""): VirtqueueState {
    const state = shape(value, path);
    const fault = state.ready ? this.#fault(state) : null;
    if (fault !== null) throw new StateError(path, `is ready, and ${fault}`);
    return state;
  }

  /** @throws {StateError} */
  restore(saved: VirtqueueState): void {
    const state = this.readState(saved);
    this.size = state.size;
    this.ready = state.ready;
    this.descriptors = state.descriptors;
    this.driver = state.driver;
    this.device = state.device;
    this.#nextAvail = state.nextAvail;
    this.#nextUsed = state.nextUsed;
    this.broken = null;
  }

  #hasRings(): boolean {
    return this.#has(this.driver, 4 + 2 * this.size) && this.#has(this.device, 4 + 8 * this.size);
  }

  #has(gpa: Gpa, size: number): boolean {
    return this.#memory.ready?.(gpa, size, this.#retry) ?? true;
  }

  #walk(head: number, live: () => boolean): DescriptorChain | null {
    const readable: Segment[] = [];
    const writable: Segment[] = [];
    let table = this.descriptors;
    let entries = this.size;
    let indirect = false;
    let index = head;
    let bytes = 0;
    for (let budget = this.size; ; ) {
      if (index >= entries) return this.#fail(`descriptor ${index} of ${entries}`);
      if (!this.#has(table + DESC_SIZE * index, DESC_SIZE)) return null;
      if (!this.#memory.read(table + DESC_SIZE * index, this.#scratch))
        return this.#fail("descriptor cannot be reached");
      const gpa = this.#view.getUint32(4, true) * 2 ** 32 + this.#view.getUint32(0, true);
      const length = this.#view.getUint32(8, true);
      const flags = this.#view.getUint16(12, true);
      if (!Number.isSafeInteger(gpa + length)) return this.#fail("a buffer lies beyond 2^53");
      if ((flags & DESC_INDIRECT) !== 0) {
        if (indirect || (flags & DESC_NEXT) !== 0)
          return this.#fail("an indirect descriptor is nested or has a successor");
        if (length === 0 || length % DESC_SIZE !== 0) return this.#fail(`indirect table of ${length} bytes`);
        [table, entries, index, indirect] = [gpa, length / DESC_SIZE, 0, true];
        continue;
      }
      if (budget-- === 0) return this.#fail("a chain is longer than its queue");
      bytes += length;
      if (bytes > MAX_CHAIN_BYTES) return this.#fail("a chain is longer than 2^32 bytes");
      if (!this.#has(gpa, length)) return null;
      if ((flags & DESC_WRITE) !== 0) writable.push({ gpa, length });
      else if (writable.length > 0) return this.#fail("a readable buffer follows a writable one");
      else readable.push({ gpa, length });
      if ((flags & DESC_NEXT) === 0) return new DescriptorChain(this.#memory, head, readable, writable, live);
      index = this.#view.getUint16(14, true);
    }
  }

  #u16(gpa: Gpa): number | null {
    if (!this.#memory.read(gpa, this.#scratch.subarray(0, 2))) return this.#fail("available ring cannot be reached");
    return this.#view.getUint16(0, true);
  }

  #fail(reason: string): null {
    this.broken = reason;
    return null;
  }
}
