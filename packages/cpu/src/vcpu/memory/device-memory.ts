import type { Gpa } from "../../units.js";
import type { VcpuContext } from "../context/context.js";
import type { Halves } from "../registers/halves.js";
import { u64 } from "../registers/u64.js";
import type { HostBytes } from "./host-bytes.js";

/** How a bus carries `size` bytes: half of an access across pages, and vectors, in pieces of this size. */
function pieceOf(size: number): 1 | 2 | 4 | 8 {
  if (size === 1 || size === 2 || size === 4 || size === 8) return size;
  return size === 16 ? 8 : 1;
}

/** Guest-physical memory that is no RAM: the bus, and observers that decide about it. For results see `Pages`. */
export class DeviceMemory {
  readonly #vcpu: VcpuContext;
  readonly #host: HostBytes;
  readonly #value: Halves = { lo: 0, hi: 0 };

  constructor(vcpu: VcpuContext, host: HostBytes) {
    this.#vcpu = vcpu;
    this.#host = host;
  }

  /** Copies `size` bytes, which are at linear address `hi:lo`, to host address `to`. False with nothing read. */
  load(gpa: Gpa, lo: number, hi: number, size: number, to: number): boolean {
    const decision = this.#decide(gpa, lo, hi, size, null);
    if (decision < 0) return false;
    if (decision === 0) this.#host.u8.fill(0xff, to, to + size);
    else {
      const piece = pieceOf(size);
      for (let k = 0; k < size; k += piece) this.#loadPiece(gpa + k, piece, to + k);
    }
    return true;
  }

  #loadPiece(gpa: Gpa, size: number, to: number): void {
    const { ports, hooks, counts } = this.#vcpu;
    const low = ports.bus.mmioRead(gpa, size);
    const high = size === 8 ? ports.bus.mmioHigh : 0;
    counts.mmio++;
    hooks.mmioRead?.(gpa, size, u64(low, high));
    this.#host.write(to, size, low, high);
  }

  /** Whether observers let the store of the `size` bytes at host address `from` to linear address `hi:lo` happen: 1, 0 for a veto, -1. */
  mayStore(gpa: Gpa, lo: number, hi: number, size: number, from: number): number {
    return this.#decide(gpa, lo, hi, size, from);
  }

  /** Writes the `size` bytes at host address `from`. */
  store(gpa: Gpa, size: number, from: number): void {
    const { ports, counts } = this.#vcpu;
    const piece = pieceOf(size);
    const value = this.#value;
    for (let k = 0; k < size; k += piece) {
      this.#host.read(from + k, piece, value);
      counts.mmio++;
      ports.bus.mmioWrite(gpa + k, piece, value.lo, value.hi);
    }
  }

  /** @param from host address of what is written, null for a read */
  #decide(gpa: Gpa, lo: number, hi: number, size: number, from: number | null): number {
    const { hooks } = this.#vcpu;
    if (hooks.mmio === undefined) return 1;
    const piece = pieceOf(size);
    const address = u64(lo, hi);
    let decision = 1;
    for (let k = 0; k < size; k += piece) {
      if (from !== null) this.#host.read(from + k, piece, this.#value);
      const value = from === null ? null : u64(this.#value.lo, this.#value.hi);
      if (hooks.mmio(gpa + k, piece, from !== null, value, address + BigInt(k)) === false) decision = 0;
      if (this.#vcpu.leaving || this.#vcpu.pending !== null) return -1;
    }
    return decision;
  }
}
