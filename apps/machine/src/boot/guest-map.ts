import type { Mmu } from "@vm/mmu";
import * as L from "../layout.js";
import type { Pace } from "../pace.js";
import type { Segment } from "./elf.js";
import { BootError } from "./error.js";
import { checkSegments, store, storeSegments, zeroTerminated } from "./placing.js";

/** The first page is left to the interrupt vectors and BIOS data of old. */
const LOWEST = 0x1000;
/** Bytes of a text that is handed to an image. */
const TEXT_MAX = 0xffff;

interface Range {
  readonly start: number;
  /** First address behind it. */
  readonly end: number;
}

/** Finds room in a guest's memory for what a loader puts beside the image. */
export class GuestMap {
  readonly #mmu: Mmu;
  readonly #ram: number;
  readonly #pace: Pace;
  /** In order, and apart from each other. */
  #taken: readonly Range[];

  private constructor(mmu: Mmu, ram: number, taken: readonly Range[], pace: Pace) {
    this.#mmu = mmu;
    this.#ram = ram;
    this.#taken = joined(taken);
    this.#pace = pace;
  }

  /** Places the segments of an image. @throws {KernelError} if one is not within the `ram` bytes of RAM, or all together are larger */
  static async place(mmu: Mmu, ram: number, segments: readonly Segment[], pace: Pace): Promise<GuestMap> {
    checkSegments(segments, ram);
    await storeSegments(mmu, segments, pace);
    const taken = segments.map(({ address, size }) => ({ start: address, end: address + size }));
    return new GuestMap(mmu, ram, taken, pace);
  }

  /** Takes `size` bytes below 640 KiB, as high as there is room. @throws {BootError} if there is none */
  takeLow(size: number, align = 16): number {
    let start = floor(L.LOW_RAM_END - size, align);
    for (let k = this.#taken.length - 1; k >= 0; k--) {
      const obstacle = this.#taken[k] as Range;
      if (obstacle.end <= start) break;
      if (obstacle.start < start + size) start = floor(obstacle.start - size, align);
    }
    if (start < LOWEST)
      throw new BootError("memory", `the image leaves no room below 640 KiB for ${size} bytes of boot data`);
    this.#take({ start, end: start + size });
    return start;
  }

  /** Stores `bytes` below 640 KiB and returns their address. @throws {BootError} if there is no room */
  putLow(bytes: Uint8Array): number {
    const at = this.takeLow(bytes.length);
    this.#mmu.write(at, bytes);
    return at;
  }

  /** Stores a text with a zero behind it below 640 KiB and returns its address. @throws {BootError} if there is no room */
  putText(what: string, text: string): number {
    return this.putLow(zeroTerminated(what, text, TEXT_MAX));
  }

  /** Stores `bytes` at a page boundary above everything else and returns their address. @throws {BootError} if there is no room */
  async putHigh(bytes: Uint8Array): Promise<number> {
    const top = Math.max(L.HIGH_RAM, this.#taken.at(-1)?.end ?? 0);
    const start = Math.ceil(top / 4096) * 4096;
    const end = start + bytes.length;
    if (end > this.#ram) {
      const needed = Math.ceil(end / 2 ** 20);
      throw new BootError(
        "memory",
        `${this.#ram / 2 ** 20} MiB of memory are too little: image and module need ${needed} MiB`,
      );
    }
    await store(this.#mmu, start, bytes, this.#pace);
    this.#take({ start, end });
    return start;
  }

  #take(range: Range): void {
    this.#taken = joined([...this.#taken, range]);
  }
}

/** The same ranges in order, with those that touch made one. */
function joined(ranges: readonly Range[]): readonly Range[] {
  const all: Range[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = all.at(-1);
    if (last === undefined || last.end < range.start) all.push(range);
    else if (last.end < range.end) all[all.length - 1] = { start: last.start, end: range.end };
  }
  return all;
}

const floor = (value: number, align: number): number => Math.floor(value / align) * align;
