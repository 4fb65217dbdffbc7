import type { GuestMemory, IrqLine, Turns } from "@vm/devices";
import { Violation } from "../door.js";

/** Transfers, and bytes of them, that one turn of a device may make. */
const TURN_TRANSFERS = 16_384;
const TURN_BYTES = 3 * 2 ** 20;

/** Used rings of a driver that keeps to what {@link RingDriver} does mostly. */
const USED = [0x2_0000, 0x4_0000];

/** What a device is connected to here: memory that counts, an interrupt line, and turns that come when they are given. */
export class RingHost implements GuestMemory, IrqLine, Turns {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  level = false;
  /** Operations under way outside, as the device says. */
  begun = 0;
  #waiting: (() => void)[] = [];
  #transfers = 0;
  #moved = 0;

  /** @param size bytes of memory, from address 0 */
  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }

  read(gpa: number, dst: Uint8Array): boolean {
    if (!this.#count(gpa, dst.length)) return false;
    dst.set(this.bytes.subarray(gpa, gpa + dst.length));
    return true;
  }

  write(gpa: number, src: Uint8Array): boolean {
    if (!this.#count(gpa, src.length)) return false;
    this.bytes.set(src, gpa);
    return true;
  }

  set(level: boolean): void {
    this.level = level;
  }

  later(fn: () => void): void {
    this.#waiting.push(fn);
  }

  begin(): () => void {
    this.begun++;
    return () => this.begun--;
  }

  /** Lets the guest access the device: that may note things, but move nothing. */
  access(work: () => void): void {
    this.#begin();
    work();
    if (this.#transfers > 0) throw new Violation("work within an access", `${this.#transfers} transfers`);
  }

  /** One turn; false if nobody wants one. */
  turn(): boolean {
    const next = this.#waiting.shift();
    this.#begin();
    next?.();
    this.#countGiven();
    if (this.#transfers > TURN_TRANSFERS || this.#moved > TURN_BYTES)
      throw new Violation("long turn", `${this.#transfers} transfers of ${this.#moved} bytes`);
    if (this.#waiting.length > 1) throw new Violation("turns pile up", `${this.#waiting.length} wait`);
    return next !== undefined;
  }

  /** Requests that were given back through the used rings at these addresses. */
  given = 0;
  readonly #used = new Map<number, number>();

  #countGiven(): void {
    for (const ring of USED) {
      const index = this.view.getUint16(ring + 2, true);
      const more = (index - (this.#used.get(ring) ?? 0)) & 0xffff;
      if (more <= 256) this.given += more;
      this.#used.set(ring, index);
    }
  }

  #begin(): void {
    this.#transfers = this.#moved = 0;
  }

  #count(gpa: number, length: number): boolean {
    this.#transfers++;
    this.#moved += length;
    return gpa + length <= this.bytes.length;
  }
}
