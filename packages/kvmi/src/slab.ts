const BLOCK = 65536;

/**
 * Zeroed pieces of larger blocks, each handed out once: as good as an array of its own that whoever is given it may keep, at a fraction of
 * what it costs to allocate one.
 */
export class Slab {
  #block = new ArrayBuffer(BLOCK);
  #at = 0;

  /** `size` bytes, at most 64 KiB. */
  take(size: number): DataView {
    if (this.#at + size > BLOCK) {
      this.#block = new ArrayBuffer(BLOCK);
      this.#at = 0;
    }
    const piece = new DataView(this.#block, this.#at, size);
    // 64-bit values stay aligned.
    this.#at += (size + 7) & ~7;
    return piece;
  }
}

/** The bytes of a view. */
export const bytesOf = (view: DataView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
