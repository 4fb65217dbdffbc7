import { Page } from "./bits.js";
import type { HostPages } from "./host-pages.js";
import { Listeners } from "./listeners.js";
import type { Memslot, Memslots } from "./memslots.js";
import { NotResidentError } from "./residency.js";
import type { Gfn, Gpa } from "./units.js";

/**
 * Guest-physical memory as the host and the devices see it: little-endian, any alignment, page crossings included.
 *
 * Reads never take frames: untouched memory reads as zero. Writes ignore a slot's `readonly` and page watches (both are about the guest), mark the
 * dirty log and tell the listeners. A `gpa` is an integer in 0..2^52-1. Memory that is private to the guest throws PrivateMemoryError, and memory that has not
 * arrived NotResidentError unless its source gives it at once, before anything is read or written.
 */
export class PhysicalMemory {
  readonly #slots: Memslots;
  readonly #pages: HostPages;
  readonly #u8: Uint8Array;
  readonly #view: DataView;
  readonly #written = new Listeners<[gfn: Gfn]>();
  /** Where a scalar is put together. */
  readonly #scalar = new DataView(new ArrayBuffer(4));
  readonly #scalarBytes = [1, 2, 4].map((size) => new Uint8Array(this.#scalar.buffer, 0, size));

  constructor(slots: Memslots, pages: HostPages) {
    this.#slots = slots;
    this.#pages = pages;
    this.#u8 = slots.arena.u8;
    this.#view = new DataView(this.#u8.buffer);
  }

  /** Calls `callback` after the host wrote into page `gfn`; whoever decoded code there drops it. Returns the function that ends it. */
  onHostWrite(callback: (gfn: Gfn) => void): () => void {
    return this.#written.add(callback);
  }

  /** Host offset of page `gfn`, taking a frame if it was never touched; 0 if no memslot backs it. Writing there is not noticed by anyone. */
  frameOf(gfn: Gfn): number {
    const slot = this.#slots.find(gfn);
    if (slot === null) return 0;
    this.#present(gfn, 1);
    return (slot.own ? this.#slots.touch(slot, gfn) : this.#pages.pfn(slot, gfn)) * Page.Size;
  }

  /** Host offset of page `gfn`; 0 if it was never touched or no memslot backs it. */
  peekFrame(gfn: Gfn): number {
    const slot = this.#slots.find(gfn);
    if (slot === null) return 0;
    this.#present(gfn, 1);
    return (slot.own ? (slot.pfns[gfn - slot.gfn] as number) : this.#pages.pfn(slot, gfn)) * Page.Size;
  }

  /** Whether memslots back all of `[gpa, gpa + size)`; nothing is needed to back an empty range. */
  backed(gpa: Gpa, size: number): boolean {
    if (size === 0) return true;
    const end = (gpa + size) / Page.Size;
    let gfn = Math.floor(gpa / Page.Size);
    while (gfn < end) {
      const slot = this.#slots.find(gfn);
      if (slot === null) return false;
      gfn = slot.gfn + slot.pages;
    }
    return true;
  }

  /** Like {@link backed}, for who goes on to touch the range: what cannot be touched throws before anything is. */
  #reachable(gpa: Gpa, size: number): boolean {
    if (size === 0 || !this.backed(gpa, size)) return size === 0;
    const end = (gpa + size) / Page.Size;
    let gfn = Math.floor(gpa / Page.Size);
    this.#present(gfn, end - gfn);
    while (gfn < end) {
      const slot = this.#slots.find(gfn) as Memslot;
      if (!slot.own) this.#pages.pfn(slot, gfn);
      gfn = slot.own ? slot.gfn + slot.pages : gfn + 1;
    }
    return true;
  }

  /** @throws NotResidentError, and what the source throws of memory that it has to give at once */
  #present(gfn: Gfn, pages: number): void {
    const { residency } = this.#slots;
    if (residency === null || residency.firstAbsent(gfn, pages) < 0 || residency.bringOrThrow(gfn, pages)) return;
    throw new NotResidentError(residency.firstAbsent(gfn, pages));
  }

  /** Fills `dst` from `gpa`. False, with `dst` unchanged, if any byte is unbacked. */
  read(gpa: Gpa, dst: Uint8Array): boolean {
    if (!this.#reachable(gpa, dst.length)) return false;
    for (let done = 0; done < dst.length; ) {
      const offset = (gpa + done) % Page.Size;
      const size = Math.min(Page.Size - offset, dst.length - done);
      const frame = this.peekFrame((gpa + done - offset) / Page.Size);
      if (frame === 0) dst.fill(0, done, done + size);
      else dst.set(this.#u8.subarray(frame + offset, frame + offset + size), done);
      done += size;
    }
    return true;
  }

  /** Stores `src` at `gpa`. False, with nothing stored, if any byte is unbacked. */
  write(gpa: Gpa, src: Uint8Array): boolean {
    if (!this.#reachable(gpa, src.length)) return false;
    for (let done = 0; done < src.length; ) {
      const offset = (gpa + done) % Page.Size;
      const size = Math.min(Page.Size - offset, src.length - done);
      const gfn = (gpa + done - offset) / Page.Size;
      const slot = this.#slots.find(gfn);
      slot?.firstWrites?.mark(gfn - slot.gfn);
      this.#u8.set(size === src.length ? src : src.subarray(done, done + size), this.frameOf(gfn) + offset);
      this.#written.emit(gfn);
      done += size;
    }
    return true;
  }

  /** The byte at `gpa`; 0xff where nothing is. */
  readU8(gpa: Gpa): number {
    const gfn = Math.floor(gpa / Page.Size);
    const frame = this.peekFrame(gfn);
    if (frame !== 0) return this.#view.getUint8(frame + (gpa % Page.Size));
    return this.#slots.find(gfn) === null ? 0xff : 0;
  }

  /** The u16 at `gpa`; 0xffff if any byte is unbacked. */
  readU16(gpa: Gpa): number {
    const offset = gpa % Page.Size;
    const frame = offset <= Page.Size - 2 ? this.peekFrame((gpa - offset) / Page.Size) : 0;
    if (frame !== 0) return this.#view.getUint16(frame + offset, true);
    return this.#gather(gpa, 2) ? this.#scalar.getUint16(0, true) : 0xffff;
  }

  /** The u32 at `gpa`; 0xffffffff if any byte is unbacked. A u64 is two of these. */
  readU32(gpa: Gpa): number {
    const offset = gpa % Page.Size;
    const frame = offset <= Page.Size - 4 ? this.peekFrame((gpa - offset) / Page.Size) : 0;
    if (frame !== 0) return this.#view.getUint32(frame + offset, true);
    return this.#gather(gpa, 4) ? this.#scalar.getUint32(0, true) : 0xffffffff;
  }

  /** Stores the low byte of `value`. False if nothing is there. */
  writeU8(gpa: Gpa, value: number): boolean {
    this.#scalar.setUint8(0, value);
    return this.write(gpa, this.#bytesOf(1));
  }

  /** Stores the low 16 bits of `value`. False, with nothing stored, if any byte is unbacked. */
  writeU16(gpa: Gpa, value: number): boolean {
    this.#scalar.setUint16(0, value, true);
    return this.write(gpa, this.#bytesOf(2));
  }

  /** Stores the low 32 bits of `value`. False, with nothing stored, if any byte is unbacked. */
  writeU32(gpa: Gpa, value: number): boolean {
    this.#scalar.setUint32(0, value, true);
    return this.write(gpa, this.#bytesOf(4));
  }

  #gather(gpa: Gpa, size: 2 | 4): boolean {
    return this.read(gpa, this.#bytesOf(size));
  }

  #bytesOf(size: 1 | 2 | 4): Uint8Array {
    return this.#scalarBytes[size >>> 1] as Uint8Array;
  }
}
