import type { Mmu } from "@vm/mmu";
import * as L from "../layout.js";
import type { Segment } from "./elf.js";
import { BootError, KernelError } from "./error.js";

/** The first page is left to the interrupt vectors and BIOS data of old. */
const LOWEST = 0x1000;

/** Finds room in a guest's memory for what a loader puts beside the image. */
export class GuestMap {
  readonly #mmu: Mmu;
  readonly #ram: number;
  readonly #taken: { readonly start: number; readonly end: number }[];

  /** Places the segments of an image. @throws {KernelError} if one is not within the `ram` bytes of RAM */
  constructor(mmu: Mmu, ram: number, segments: readonly Segment[]) {
    this.#mmu = mmu;
    this.#ram = ram;
    this.#taken = segments.map(({ address, size }) => ({ start: address, end: address + size }));
    for (const { start, end } of this.#taken) {
      if (end <= ram) continue;
      const range = `0x${start.toString(16)} to 0x${end.toString(16)}`;
      throw new KernelError(`it wants to be loaded from ${range}, outside the ${ram / 2 ** 20} MiB of memory`);
    }
    for (const { address, bytes } of segments) mmu.write(address, bytes);
  }

  /** Takes `size` bytes below 640 KiB, as high as there is room. @throws {BootError} if there is none */
  takeLow(size: number, align = 16): number {
    let start = floor(L.LOW_RAM_END - size, align);
    for (;;) {
      if (start < LOWEST) throw new BootError(`the image leaves no room below 640 KiB for ${size} bytes of boot data`);
      const obstacle = this.#taken.find((other) => other.start < start + size && start < other.end);
      if (obstacle === undefined) break;
      start = floor(obstacle.start - size, align);
    }
    this.#taken.push({ start, end: start + size });
    return start;
  }

  /** Stores `bytes` below 640 KiB and returns their address. @throws {BootError} if there is no room */
  putLow(bytes: Uint8Array): number {
    const at = this.takeLow(bytes.length);
    this.#mmu.write(at, bytes);
    return at;
  }

  /** Stores a text with a zero behind it below 640 KiB and returns its address. @throws {BootError} if there is no room */
  putText(text: string): number {
    return this.putLow(Uint8Array.of(...new TextEncoder().encode(text), 0));
  }

  /** Stores `bytes` at a page boundary above everything else and returns their address. @throws {BootError} if there is no room */
  putHigh(bytes: Uint8Array): number {
    const top = Math.max(L.HIGH_RAM, ...this.#taken.map(({ end }) => end));
    const start = Math.ceil(top / 4096) * 4096;
    const end = start + bytes.length;
    if (end > this.#ram) {
      const needed = Math.ceil(end / 2 ** 20);
      throw new BootError(`${this.#ram / 2 ** 20} MiB of memory are too little: image and module need ${needed} MiB`);
    }
    this.#mmu.write(start, bytes);
    this.#taken.push({ start, end });
    return start;
  }
}

const floor = (value: number, align: number): number => Math.floor(value / align) * align;
