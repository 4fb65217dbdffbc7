import type { GuestMemory, PortSize, Turns } from "./ports.js";
import { read, StateError, type StateReader } from "./state.js";

/** Bytes moved in a turn. */
const AT_ONCE = 2 ** 20;
/** Bytes moved by one access to memory. */
const PIECE = 2 ** 16;
/** The register, when read: "QEMU CFG". */
const SIGNATURE = [0x51, 0x45, 0x4d, 0x55, 0x20, 0x43, 0x46, 0x47] as const;
/** An access structure: u32 control, u32 length, u64 address, all big-endian. */
const ACCESS = 16;

/** Bits of control. The upper half is an item, with {@link SELECT}. */
const ERROR = 1;
const READ = 2;
const SKIP = 4;
const SELECT = 8;
const WRITE = 16;

export interface FwCfgDmaDesc {
  readonly memory: GuestMemory;
  readonly turns: Turns;
  readonly items: {
    select(item: number): void;
    /** The next `count` bytes of the selected item, fewer at its end. */
    take(count: number): Uint8Array;
  };
}

/** What is being done. */
interface Transfer {
  /** Guest-physical address of the access structure. */
  readonly access: number;
  /** Where the next byte goes; null: it is skipped. */
  readonly to: number | null;
  /** Bytes that are left. */
  readonly left: number;
}

export interface FwCfgDmaState {
  readonly high: number;
  readonly transfer: Transfer | null;
  /** Where an access structure is that had not arrived. Default: there is none. */
  readonly asked?: number;
}

const address = read.integer(0, Number.MAX_SAFE_INTEGER);
const shape = read.record<FwCfgDmaState>(
  {
    high: read.u32,
    transfer: read.nullOr(read.record<Transfer>({ access: address, to: read.nullOr(read.address), left: read.u32 })),
    asked: address,
  },
  ["asked"],
);

export const readFwCfgDma: StateReader<FwCfgDmaState> = (value, path = "") => {
  const state = shape(value, path);
  if (state.transfer !== null && state.asked !== undefined)
    throw new StateError(path, "has a transfer under way and another that is asked for, expected one of them");
  return state;
};

/**
 * The DMA interface of fw_cfg (QEMU docs/specs/fw_cfg.rst): the guest writes the big-endian address of an access structure, high half first; the low
 * half starts it. It is done when control reads 0, or ERROR.
 *
 * Emulated: selecting, reading, skipping, a bounded part of it in each turn: the guest waits for control, as it is told to. What is read behind the end of an
 * item is zeros. While one is under way another is not begun. Memory that has not arrived is waited for.
 * Not emulated: writing, which is an error.
 */
export class FwCfgDma {
  readonly #desc: FwCfgDmaDesc;
  #high = 0;
  #transfer: Transfer | null = null;
  /** Where an access structure is that has not arrived. */
  #asked: number | null = null;
  /** A turn was asked for and has not come. */
  #waits = false;

  constructor(desc: FwCfgDmaDesc) {
    this.#desc = desc;
  }

  /** @param offset from the start of the register, as in {@link ioWrite} */
  ioRead(offset: number, size: PortSize): number {
    let value = 0;
    for (let k = 0; k < size; k++) value += (SIGNATURE[offset + k] ?? 0xff) * 2 ** (8 * k);
    return value;
  }

  /** Other accesses than of the register's halves are ignored. */
  ioWrite(offset: number, size: PortSize, value: number): void {
    if (size !== 4) return;
    if (offset === 0) this.#high = swap(value);
    if (offset !== 4) return;
    const access = this.#high * 2 ** 32 + swap(value);
    this.#high = 0;
    if (this.#transfer === null && this.#asked === null && access < Number.MAX_SAFE_INTEGER) this.#begin(access);
  }

  #begin(access: number): void {
    this.#asked = access;
    if (!this.#has(access, ACCESS)) return;
    this.#asked = null;
    const bytes = new Uint8Array(ACCESS);
    if (!this.#desc.memory.read(access, bytes)) {
      this.#end(access, ERROR);
      return;
    }
    const view = new DataView(bytes.buffer);
    const control = view.getUint32(0);
    if ((control & SELECT) !== 0) this.#desc.items.select(control >>> 16);
    if ((control & (READ | WRITE)) === WRITE) {
      this.#end(access, ERROR);
      return;
    }
    const to = view.getUint32(8) * 2 ** 32 + view.getUint32(12);
    const left = (control & (READ | SKIP)) === 0 ? 0 : view.getUint32(4);
    this.#transfer = { access, to: (control & READ) === 0 ? null : to, left };
    this.#later();
  }

  #later(): void {
    if (this.#waits) return;
    this.#waits = true;
    this.#desc.turns.later(() => {
      this.#waits = false;
      this.#work();
    });
  }

  /** Whether memory is here; if not, there is a turn when it is. */
  #has(gpa: number, size: number): boolean {
    return this.#desc.memory.ready?.(gpa, size, () => this.#later()) ?? true;
  }

  #work(): void {
    if (this.#asked !== null) this.#begin(this.#asked);
    // The end of one that was restored has yet to be told where its access structure may not have arrived.
    else if (this.#transfer !== null && this.#has(this.#transfer.access, ACCESS)) this.#move(this.#transfer);
  }

  #move({ access, to, left }: Transfer): void {
    for (let moved = 0; moved < AT_ONCE && left > 0; ) {
      // Nothing is moved by skipping, so all of it is one piece.
      const count = to === null ? left : Math.min(PIECE, left);
      if (to !== null && to + count > Number.MAX_SAFE_INTEGER) {
        this.#end(access, ERROR);
        return;
      }
      if (to !== null && !this.#has(to, count)) {
        this.#transfer = { access, to, left };
        return;
      }
      const bytes = this.#desc.items.take(count);
      if (to !== null) {
        if (!this.#store(to, bytes, count)) {
          this.#end(access, ERROR);
          return;
        }
        to += count;
      }
      left -= count;
      moved += count;
    }
    if (left === 0) {
      this.#end(access, 0);
      return;
    }
    this.#transfer = { access, to, left };
    this.#later();
  }

  #store(to: number, bytes: Uint8Array, count: number): boolean {
    if (bytes.length === count) return this.#desc.memory.write(to, bytes);
    const padded = new Uint8Array(count);
    padded.set(bytes);
    return this.#desc.memory.write(to, padded);
  }

  /** Tells the guest, if it can still be told. */
  #end(access: number, control: number): void {
    this.#transfer = null;
    this.#desc.memory.write(access, Uint8Array.of(0, 0, 0, control));
  }

  save(): FwCfgDmaState {
    const state = { high: this.#high, transfer: this.#transfer };
    return this.#asked === null ? state : { ...state, asked: this.#asked };
  }

  /** @throws {StateError} */
  restore(saved: FwCfgDmaState): void {
    const { high, transfer, asked } = readFwCfgDma(saved);
    this.#high = high;
    this.#transfer = transfer;
    this.#asked = asked ?? null;
    if (transfer !== null || this.#asked !== null) this.#later();
  }
}

/** The 32-bit number with its bytes in the other order. */
const swap = (value: number): number =>
  (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
