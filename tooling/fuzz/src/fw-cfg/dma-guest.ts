import type { GuestMemory, PortBus, PortSize, Turns } from "@vm/devices";
import { Violation } from "../door.js";

/** First port of fw_cfg, and the halves of its address register. */
export const BASE = 0x510;
const [HIGH, LOW] = [BASE + 4, BASE + 8];

/** Bits of an access structure's control. */
export const Control = { Error: 1, Read: 2, Skip: 4, Select: 8, Write: 16 } as const;

/** What a guest asks for: where its access structure lies, and what is in it. */
export interface Access {
  readonly at: number;
  readonly control: number;
  readonly length: number;
  readonly address: number;
}

const MEMORY = 1.25 * 2 ** 20;
const STRUCTURE = 16;
/** Bytes that a turn may move, and what tells of its end. */
const TURN_BYTES = 2 ** 20 + 4;
/** Turns that everything has ended after: what is read fits into memory, or fails. */
const TURNS = 16;

/** A guest that uses fw_cfg: its memory, the turns of the device, and what the device may write. */
export class DmaGuest implements GuestMemory, Turns {
  readonly bytes = new Uint8Array(MEMORY);
  /** Bytes the device has stored in all. */
  stored = 0;
  #waiting: (() => void)[] = [];
  #moved = 0;
  #high = 0;
  /** Addresses of access structures, and ranges that these have named. */
  readonly #structures = new Set<number>();
  readonly #named: { readonly from: number; readonly to: number }[] = [];

  read(gpa: number, dst: Uint8Array): boolean {
    if (dst.length !== STRUCTURE || !this.#structures.has(gpa))
      throw new Violation("read", `${dst.length} bytes at 0x${gpa.toString(16)}: no access structure`);
    if (gpa + dst.length > this.bytes.length) return false;
    dst.set(this.bytes.subarray(gpa, gpa + dst.length));
    const view = new DataView(dst.buffer, dst.byteOffset);
    const from = Number(view.getBigUint64(8));
    if ((view.getUint32(0) & Control.Read) !== 0) this.#named.push({ from, to: from + view.getUint32(4) });
    return true;
  }

  write(gpa: number, src: Uint8Array): boolean {
    this.#moved += src.length;
    const end = gpa + src.length;
    const tells = src.length === 4 && this.#structures.has(gpa);
    if (!tells && !this.#named.some(({ from, to }) => gpa >= from && end <= to))
      throw new Violation("write", `${src.length} bytes at 0x${gpa.toString(16)}, which nothing names`);
    if (end > this.bytes.length) return false;
    this.bytes.set(src, gpa);
    this.stored += src.length;
    return true;
  }

  later(fn: () => void): void {
    this.#waiting.push(fn);
    if (this.#waiting.length > 1) throw new Violation("turns pile up", `${this.#waiting.length} wait`);
  }

  begin(): () => void {
    throw new Violation("outside", "the device waits for something outside the machine");
  }

  turn(): void {
    this.#moved = 0;
    this.#waiting.shift()?.();
    if (this.#moved > TURN_BYTES) throw new Violation("long turn", `${this.#moved} bytes`);
  }

  /** Turns until nothing is under way. */
  finish(): void {
    for (let turns = 0; this.#waiting.length > 0; turns++) {
      if (turns === TURNS) throw new Violation("no end", `${TURNS} turns, and a transfer is under way`);
      this.turn();
    }
  }

  /** The device is gone. */
  forget(): void {
    this.#waiting = [];
  }

  /** A write to a port. */
  out(ports: PortBus, port: number, size: PortSize, value: number): void {
    if (size === 4 && port === HIGH) this.#high = swap(value);
    if (size === 4 && port === LOW) {
      this.#structures.add(this.#high * 2 ** 32 + swap(value));
      this.#high = 0;
    }
    this.#moved = 0;
    ports.write(port, size, value);
    if (this.#moved > 4) throw new Violation("work within an access", `${this.#moved} bytes`);
  }

  /** Writes an access structure, as far as there is memory, and says where it is. */
  start(ports: PortBus, { at, control, length, address }: Access): void {
    const structure = new DataView(new ArrayBuffer(STRUCTURE));
    structure.setUint32(0, control);
    structure.setUint32(4, length);
    structure.setBigUint64(8, BigInt(address));
    this.bytes.set(new Uint8Array(structure.buffer).subarray(0, MEMORY - at), at);
    this.out(ports, HIGH, 4, 0);
    this.out(ports, LOW, 4, swap(at));
  }
}

/** The 32-bit number with its bytes in the other order. */
const swap = (value: number): number => {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value);
  return view.getUint32(0, true);
};
