import type { ApicPort, BusPort } from "@vm/cpu";
import { Random } from "../random.js";

/** What surrounds a vCPU: reads answer at random, writes are counted, interrupts come from a queue. */
export class Devices implements BusPort, ApicPort {
  readonly #random: Random;
  readonly #waiting: number[] = [];
  /** Everything that was done, mixed into one number. */
  trace = 0;
  mmioHigh = 0;
  cr8 = 0;
  msrLo = 0;
  msrHi = 0;

  constructor(seed: number) {
    this.#random = new Random(seed ^ 0x5bd1e995);
  }

  random(): number {
    return this.#random.word();
  }

  #note(...what: readonly number[]): void {
    for (const word of what) this.trace = (Math.imul(this.trace ^ word, 0x01000193) + 0x2545f491) | 0;
  }

  ioRead(port: number, size: number): number {
    this.#note(1, port, size);
    return size === 4 ? this.random() : this.random() >>> (32 - 8 * size);
  }
  ioWrite(port: number, size: number, value: number): void {
    this.#note(2, port, size, value);
  }
  mmioRead(gpa: number, size: number): number {
    this.#note(3, gpa, size);
    this.mmioHigh = this.random();
    return size >= 4 ? this.random() : this.random() >>> (32 - 8 * size);
  }
  mmioWrite(gpa: number, size: number, lo: number, hi: number): void {
    this.#note(4, gpa, size, lo, size === 8 ? hi : 0);
  }

  /** Has `vector` wait. */
  raise(vector: number): void {
    if (this.#waiting.length < 16) this.#waiting.push(vector);
  }
  hasInterrupt(): boolean {
    const [first] = this.#waiting;
    return first !== undefined && first >> 4 > this.cr8;
  }
  acknowledge(): number {
    return this.hasInterrupt() ? (this.#waiting.shift() as number) : -1;
  }
  readMsr(msr: number): boolean {
    this.msrLo = msr;
    this.msrHi = 0;
    return msr >= 0x800 && msr < 0x840;
  }
  writeMsr(msr: number, lo: number, hi: number): boolean {
    this.#note(5, msr, lo, hi);
    return msr >= 0x800 && msr < 0x840;
  }
}
