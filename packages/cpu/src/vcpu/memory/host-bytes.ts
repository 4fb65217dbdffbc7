import type { Halves } from "../registers/halves.js";

/** The shared memory by host address: values of 1, 2, 4 or 8 bytes as signed halves. */
export class HostBytes {
  readonly u8: Uint8Array;
  readonly #view: DataView;

  constructor(memory: WebAssembly.Memory) {
    this.u8 = new Uint8Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
  }

  /** Reads `size` bytes into `out`, zero-extended. */
  read(host: number, size: number, out: Halves): void {
    out.hi = 0;
    if (size === 1) out.lo = this.u8[host] as number;
    else if (size === 2) out.lo = this.#view.getUint16(host, true);
    else {
      out.lo = this.#view.getInt32(host, true);
      if (size === 8) out.hi = this.#view.getInt32(host + 4, true);
    }
  }

  write(host: number, size: number, lo: number, hi: number): void {
    if (size === 1) this.u8[host] = lo;
    else if (size === 2) this.#view.setUint16(host, lo, true);
    else {
      this.#view.setInt32(host, lo, true);
      if (size === 8) this.#view.setInt32(host + 4, hi, true);
    }
  }

  copy(to: number, from: number, size: number): void {
    this.u8.copyWithin(to, from, from + size);
  }

  /** Whether the `size` bytes at `a` are those at `b`. */
  same(a: number, b: number, size: number): boolean {
    let k = 0;
    while (k < size && this.u8[a + k] === this.u8[b + k]) k++;
    return k === size;
  }
}
