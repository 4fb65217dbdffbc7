import { u64, u64Bytes, viewOf } from "./bits.js";

/** Refcounts of 2^order bits in a block: below a byte the lowest bits come first, from a byte on they are big-endian. */
export class RefcountBits {
  readonly bits: number;
  /** The largest count. */
  readonly most: number;

  /** @param order 0 to 6 */
  constructor(readonly order: number) {
    this.bits = 2 ** order;
    this.most = this.bits >= 53 ? Number.MAX_SAFE_INTEGER : 2 ** this.bits - 1;
  }

  /** Refcounts in a block of `bytes`. */
  perBlock(bytes: number): number {
    return (bytes * 8) / this.bits;
  }

  /** The count at `index` of a block; Infinity beyond 2^53. */
  get(view: DataView, index: number): number {
    switch (this.bits) {
      case 8:
        return view.getUint8(index);
      case 16:
        return view.getUint16(2 * index);
      case 32:
        return view.getUint32(4 * index);
      case 64:
        return u64(view, 8 * index);
      default: {
        const { at, shift } = this.#within(index);
        return (view.getUint8(at) >> shift) & this.most;
      }
    }
  }

  /** Stores `value` at `index` of a block. */
  set(block: Uint8Array, index: number, value: number): void {
    const view = viewOf(block);
    switch (this.bits) {
      case 8:
        view.setUint8(index, value);
        break;
      case 16:
        view.setUint16(2 * index, value);
        break;
      case 32:
        view.setUint32(4 * index, value);
        break;
      case 64:
        block.set(u64Bytes(value), 8 * index);
        break;
      default: {
        const { at, shift } = this.#within(index);
        view.setUint8(at, (view.getUint8(at) & ~(this.most << shift)) | (value << shift));
      }
    }
  }

  /** The bytes of a block that hold `count` refcounts from `index` on: first, and behind the last. */
  span(index: number, count: number): [number, number] {
    return [Math.floor((index * this.bits) / 8), Math.ceil(((index + count) * this.bits) / 8)];
  }

  #within(index: number): { at: number; shift: number } {
    const perByte = 8 / this.bits;
    return { at: Math.floor(index / perByte), shift: (index % perByte) * this.bits };
  }
}
