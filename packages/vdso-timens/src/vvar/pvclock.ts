import type { PageStore } from "./store.js";

/** Offsets in `struct pvclock_vcpu_time_info` (`arch/x86/include/asm/pvclock-abi.h`), that of the first CPU at the beginning of the page. */
export const PVCLOCK = {
  version: 0,
  tscTimestamp: 8,
  systemTime: 16,
  tscToSystemMul: 24,
  tscShift: 28,
  flags: 29,
} as const;

/** The counters of all CPUs agree: the page of one CPU serves all. */
export const PVCLOCK_TSC_STABLE = 1;

/** How kvmclock follows the TSC: nanoseconds are `systemTime + (((tsc - tscTimestamp) << tscShift) * tscToSystemMul >> 32)`. */
export interface PvclockInfo {
  readonly tscTimestamp: bigint;
  readonly systemTime: bigint;
  /** u32. */
  readonly tscToSystemMul: number;
  /** -31 to 31; a negative one shifts right. */
  readonly tscShift: number;
  /** Without it readers ask the kernel. */
  readonly stable: boolean;
}

/** The page of kvmclock: one writer, any number of readers. */
export class PvclockPage {
  readonly #store: PageStore;
  #version = 0;

  /** @param store of a page of zeros */
  constructor(store: PageStore) {
    this.#store = store;
  }

  /** Makes `info` what all see. Whoever reads meanwhile starts over. */
  update({ tscTimestamp, systemTime, tscToSystemMul, tscShift, stable }: PvclockInfo): void {
    this.#next();
    this.#store.u64(PVCLOCK.tscTimestamp, BigInt.asUintN(64, tscTimestamp));
    this.#store.u64(PVCLOCK.systemTime, BigInt.asUintN(64, systemTime));
    this.#store.u32(PVCLOCK.tscToSystemMul, tscToSystemMul);
    // The shift, and the flags above it.
    this.#store.u32(PVCLOCK.tscShift, (tscShift & 0xff) | ((stable ? PVCLOCK_TSC_STABLE : 0) << 8));
    this.#next();
  }

  /** Odd while the rest is being written. */
  #next(): void {
    this.#version = (this.#version + 1) >>> 0;
    this.#store.u32(PVCLOCK.version, this.#version);
  }
}
