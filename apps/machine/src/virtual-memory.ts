import { canonical, halvesOf, type Vcpu } from "@vm/cpu";
import type { GuestMemory } from "@vm/devices";
import type { Gpa, Mmu } from "@vm/mmu";

const PAGE = 4096;
/** Bytes of a string that is read when nobody says how many it may have. */
const STRING_MAX = 4096;

/**
 * Guest memory at linear addresses, as one processor translates them now, for one who looks at the guest without taking part: no fault
 * comes of it, no accessed or dirty bit is set, no watch is told and no rights are asked. What is not RAM, or private to the guest, cannot be
 * reached. An address is a 64-bit unsigned bigint; one that is not canonical leads nowhere.
 */
export class VirtualMemory {
  readonly #cpu: Vcpu;
  readonly #mmu: Mmu;
  readonly #physical: GuestMemory;

  /** @internal */
  constructor(cpu: Vcpu, mmu: Mmu, physical: GuestMemory) {
    this.#cpu = cpu;
    this.#mmu = mmu;
    this.#physical = physical;
  }

  /** The guest-physical address behind a linear one; null if the page tables name none. */
  translate(address: bigint): Gpa | null {
    const [lo, hi] = halvesOf(address);
    if (this.#cpu.mode === 64 && !canonical(this.#cpu, hi)) return null;
    return this.#mmu.locate(this.#cpu.paging, lo, hi);
  }

  /** The `length` bytes from `address`; null if one of them cannot be reached. @throws RangeError for a length that no array has */
  read(address: bigint, length: number): Uint8Array | null {
    const bytes = new Uint8Array(length);
    const reached = this.#pages(address, length, (gpa, start, end) =>
      this.#physical.read(gpa, bytes.subarray(start, end)),
    );
    return reached ? bytes : null;
  }

  /** Stores `bytes` from `address` on, also where the guest may only read. False, with nothing stored, if one of them cannot be. */
  write(address: bigint, bytes: Uint8Array): boolean {
    const probe = new Uint8Array(1);
    const pieces: [gpa: Gpa, piece: Uint8Array][] = [];
    const reached = this.#pages(address, bytes.length, (gpa, start, end) => {
      pieces.push([gpa, bytes.subarray(start, end)]);
      return this.#physical.read(gpa, probe);
    });
    return reached && pieces.every(([gpa, piece]) => this.#physical.write(gpa, piece));
  }

  /** Eight bytes as a number; null if they cannot be reached. */
  readU64(address: bigint): bigint | null {
    const bytes = this.read(address, 8);
    return bytes === null ? null : new DataView(bytes.buffer).getBigUint64(0, true);
  }

  /** The bytes from `address` to the NUL that ends them, as UTF-8; null if there is none within `most` bytes that can be reached. */
  readString(address: bigint, most = STRING_MAX): string | null {
    const text: Uint8Array[] = [];
    let length = 0;
    while (length < most) {
      const at = address + BigInt(length);
      const bytes = this.read(at, Math.min(most - length, PAGE - Number(at & 0xfffn)));
      if (bytes === null) return null;
      const end = bytes.indexOf(0);
      text.push(end < 0 ? bytes : bytes.subarray(0, end));
      if (end >= 0) return new TextDecoder().decode(join(text));
      length += bytes.length;
    }
    return null;
  }

  /** Calls `each` for every page of a range with its guest-physical address and what it holds of the range; whether all answered true. */
  #pages(address: bigint, length: number, each: (gpa: Gpa, start: number, end: number) => boolean): boolean {
    for (let done = 0; done < length; ) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const gpa = this.translate(at);
      const end = Math.min(length, done + PAGE - Number(at & 0xfffn));
      if (gpa === null || !each(gpa, done, end)) return false;
      done = end;
    }
    return true;
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
