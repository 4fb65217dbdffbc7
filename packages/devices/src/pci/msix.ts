import type { MmioDevice, MmioSize } from "../ports.js";
import { read } from "../state.js";
import type { ConfigSpace } from "./config-space.js";
import type { MsiMessage } from "./msi.js";

/** Bytes of the capability in configuration space. */
export const MSIX_CAPABILITY_SIZE = 12;
/** Bytes of the memory that holds the table, at its start, and the pending bits. */
export const MSIX_MEMORY_SIZE = 4096;
/** Entries that the table has room for. */
export const MSIX_MAX_VECTORS = 128;

export interface MsixDesc {
  readonly config: ConfigSpace;
  /** Offset of the capability, and the pointer to the next one. */
  readonly capability: number;
  readonly next: number;
  /** The base address register (0-5) of the table's memory. */
  readonly bar: number;
  /** Entries of the table, 1 to {@link MSIX_MAX_VECTORS}. */
  readonly vectors: number;
  readonly send: (message: MsiMessage) => void;
}

export interface MsixState {
  /** The table: four words for each vector. */
  readonly table: readonly number[];
  readonly pending: readonly boolean[];
}

const CAPABILITY_ID = 0x11;
const CONTROL = 2;
const CONTROL_ENABLE = 1 << 15;
const CONTROL_MASK = 1 << 14;
const PENDING_AT = 0x800;
/** Words of an entry. */
const ENTRY = 4;
const MASKED = 1;
/** What the words of an entry keep: address, upper address, data, vector control. */
const WRITABLE = [0xffff_fffc, 0xffff_ffff, 0xffff_ffff, MASKED] as const;

/**
 * MSI-X (PCI 3.0, 6.8.2): the capability, and the memory with the table from offset 0 and the pending bits from 0x800.
 *
 * The table takes aligned accesses of 4 bytes, which those of 8 come as; any other write does nothing. Reads are of any width.
 * Emulated: masking of vectors and of the function, pending bits. What a vector is signalled while MSI-X is off is lost.
 */
export class Msix implements MmioDevice {
  readonly #desc: MsixDesc;
  readonly #table: Uint32Array;
  readonly #pending: boolean[];

  constructor(desc: MsixDesc) {
    this.#desc = desc;
    const { config, capability, next, bar, vectors } = desc;
    config.put(capability, 1, CAPABILITY_ID);
    config.put(capability + 1, 1, next);
    config.put(capability + CONTROL, 2, vectors - 1, CONTROL_ENABLE | CONTROL_MASK);
    config.put(capability + 4, 4, bar);
    config.put(capability + 8, 4, PENDING_AT | bar);
    this.#table = new Uint32Array(ENTRY * vectors);
    for (let at = ENTRY - 1; at < this.#table.length; at += ENTRY) this.#table[at] = MASKED;
    this.#pending = Array.from({ length: vectors }, () => false);
  }

  get vectors(): number {
    return this.#pending.length;
  }

  get enabled(): boolean {
    return (this.#control & CONTROL_ENABLE) !== 0;
  }

  /** Sends the message of a vector, now or when it is unmasked. Nothing happens for a vector that does not exist or while MSI-X is off. */
  signal(vector: number): void {
    if (!this.enabled || vector >= this.vectors) return;
    this.#pending[vector] = true;
    this.#sendPending(vector);
  }

  /** Sends what the mask in the capability held back: to be called when that may have changed. */
  update(): void {
    if (this.enabled) for (let vector = 0; vector < this.vectors; vector++) this.#sendPending(vector);
  }

  mmioRead(offset: number, size: MmioSize): number {
    let value = 0;
    for (let k = 0; k < size; k++) value |= this.#byte(offset + k) << (8 * k);
    return value >>> 0;
  }

  mmioWrite(offset: number, size: MmioSize, value: number): void {
    const word = offset >> 2;
    if (size !== 4 || (offset & 3) !== 0 || word >= this.#table.length) return;
    this.#table[word] = value & (WRITABLE[word % ENTRY] ?? 0);
    this.#sendPending(Math.floor(word / ENTRY));
  }

  save(): MsixState {
    return { table: [...this.#table], pending: [...this.#pending] };
  }

  /** What a saved state says. @throws {StateError} */
  readState(value: unknown, path?: string): MsixState {
    const words = Array.from(this.#table, (_, word) => read.bits(WRITABLE[word % ENTRY] ?? 0));
    return read.record<MsixState>({ table: read.tuple(...words), pending: read.list(read.flag, this.vectors) })(
      value,
      path,
    );
  }

  /** The capability is the configuration space's to restore. @throws {StateError} */
  restore(saved: MsixState): void {
    const state = this.readState(saved);
    for (let k = 0; k < this.#table.length; k++) this.#table[k] = state.table[k] ?? 0;
    for (let k = 0; k < this.vectors; k++) this.#pending[k] = state.pending[k] ?? false;
  }

  get #control(): number {
    return this.#desc.config.read(this.#desc.capability + CONTROL, 2);
  }

  #byte(offset: number): number {
    if (offset < 4 * this.#table.length) return ((this.#table[offset >> 2] ?? 0) >>> (8 * (offset & 3))) & 0xff;
    const first = 8 * (offset - PENDING_AT);
    let bits = 0;
    for (let k = 0; k < 8; k++) if (this.#pending[first + k] === true) bits |= 1 << k;
    return bits;
  }

  #sendPending(vector: number): void {
    const at = ENTRY * vector;
    const [addressLow = 0, addressHigh = 0, data = 0, control = MASKED] = this.#table.subarray(at, at + ENTRY);
    const masked = (control & MASKED) !== 0 || (this.#control & CONTROL_MASK) !== 0 || !this.enabled;
    if (this.#pending[vector] !== true || masked) return;
    this.#pending[vector] = false;
    this.#desc.send({ addressLow, addressHigh, data });
  }
}
