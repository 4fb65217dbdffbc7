/** High 32 bits of the product of two unsigned 32-bit numbers. */
function high(a: number, b: number): number {
  const [al, ah, bl, bh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const mid = ah * bl + ((al * bl) >>> 16);
  const cross = al * bh + (mid % 0x10000);
  return (ah * bh + Math.floor(mid / 0x10000) + Math.floor(cross / 0x10000)) >>> 0;
}

/** splitmix64, the generator the recorder derives states from. Results in `lo`, `hi` (u32). */
export class SplitMix {
  lo = 0;
  hi = 0;
  #stateLo: number;
  #stateHi: number;

  /** @param seed hexadecimal, at most 16 digits */
  constructor(seed: string) {
    const digits = seed.padStart(16, "0");
    this.#stateHi = Number.parseInt(digits.slice(0, 8), 16);
    this.#stateLo = Number.parseInt(digits.slice(8), 16);
  }

  next(): this {
    const sum = this.#stateLo + 0x7f4a7c15;
    this.#stateLo = sum >>> 0;
    this.#stateHi = (this.#stateHi + 0x9e3779b9 + (sum > 0xffffffff ? 1 : 0)) >>> 0;
    this.lo = this.#stateLo;
    this.hi = this.#stateHi;
    this.#xorShift(30);
    this.#multiply(0x1ce4e5b9, 0xbf58476d);
    this.#xorShift(27);
    this.#multiply(0x133111eb, 0x94d049bb);
    this.#xorShift(31);
    return this;
  }

  #xorShift(by: number): void {
    const lo = (this.lo >>> by) | (this.hi << (32 - by));
    this.hi = (this.hi ^ (this.hi >>> by)) >>> 0;
    this.lo = (this.lo ^ lo) >>> 0;
  }

  #multiply(lo: number, hi: number): void {
    const cross = Math.imul(this.lo, hi) + Math.imul(this.hi, lo);
    this.hi = (high(this.lo, lo) + cross) >>> 0;
    this.lo = Math.imul(this.lo, lo) >>> 0;
  }
}
