import { CLOCKS, ClockId, OFFSET_OF, type Timespec } from "../clocks.js";
import { ClockMode, type VvarAbi } from "./abi.js";
import type { PageStore } from "./store.js";

/** A point in time at which a counter was read: `shifted` is nanoseconds of the second, shifted left by the counter's `shift`. */
export interface Base {
  readonly sec: number;
  readonly shifted: bigint;
}

/** Nanoseconds since `cycleLast` are `cycles * mult >> shift`. */
export interface Scale {
  readonly cycleLast: bigint;
  readonly mult: number;
  readonly shift: number;
}

/** What a kernel knows of its clocks at a tick. */
export interface TimeReading {
  /** With `None` only the coarse clocks can be read without a system call. */
  readonly mode: ClockMode.None | ClockMode.Tsc | ClockMode.Pvclock;
  /** Of the clocks that follow the time of day, and of `CLOCK_MONOTONIC_RAW`. */
  readonly scale: Scale;
  readonly rawScale: Scale;
  readonly realtime: Base;
  readonly monotonic: Base;
  readonly boottime: Base;
  readonly tai: Base;
  readonly raw: Base;
  readonly realtimeCoarse: Timespec;
  readonly monotonicCoarse: Timespec;
  /** Resolution of the other clocks, nanoseconds. */
  readonly resolutionNs: number;
}

/** Time zone of the kernel (`gettimeofday(2)`), which nobody should use. */
export interface Zone {
  readonly minutesWest: number;
  readonly dst: number;
}

const ALL = (1n << 64n) - 1n;

/** Largest distance of cycles whose nanoseconds, added to less than a second, fit in 64 bits. */
export const maxCyclesOf = ({ mult, shift }: Scale): bigint => (ALL - (1_000_000_000n << BigInt(shift))) / BigInt(mult);

/** The page with the real time: one writer, any number of readers that a write never holds up for long (`kernel/time/vsyscall.c`). */
export class TimePage {
  readonly #store: PageStore;
  readonly #abi: VvarAbi;
  #seq = 0;

  /** @param store of a page of zeros */
  constructor(store: PageStore, abi: VvarAbi) {
    this.#store = store;
    this.#abi = abi;
  }

  /** Makes a reading what all see. Whoever reads meanwhile starts over. */
  update(reading: TimeReading): void {
    const { mode } = reading;
    this.#next();
    for (const k of [0, 1]) this.#store.u32(this.#at(k) + this.#abi.fields.mode, mode);
    this.#base(0, ClockId.Realtime, reading.realtime);
    this.#coarse(ClockId.RealtimeCoarse, reading.realtimeCoarse);
    this.#coarse(ClockId.MonotonicCoarse, reading.monotonicCoarse);
    this.#store.u32(this.#abi.resolution, reading.resolutionNs);
    if (mode !== ClockMode.None) {
      this.#scale(0, reading.scale);
      this.#scale(1, reading.rawScale);
      this.#base(0, ClockId.Monotonic, reading.monotonic);
      this.#base(0, ClockId.Boottime, reading.boottime);
      this.#base(0, ClockId.Tai, reading.tai);
      this.#base(1, ClockId.MonotonicRaw, reading.raw);
    }
    this.#next();
  }

  /** Readers take the zone as it comes. */
  setZone({ minutesWest, dst }: Zone): void {
    this.#store.u32(this.#abi.zone, minutesWest);
    this.#store.u32(this.#abi.zone + 4, dst);
  }

  #at(structure: number): number {
    return this.#abi.clocks + structure * this.#abi.stride;
  }

  /** Odd while the rest is being written. */
  #next(): void {
    this.#seq = (this.#seq + 1) >>> 0;
    for (const k of [0, 1]) this.#store.u32(this.#at(k) + this.#abi.fields.seq, this.#seq);
  }

  #scale(structure: number, scale: Scale): void {
    const { fields } = this.#abi;
    const at = this.#at(structure);
    this.#store.u64(at + fields.cycleLast, scale.cycleLast);
    if (fields.maxCycles !== null) this.#store.u64(at + fields.maxCycles, maxCyclesOf(scale));
    this.#store.u64(at + fields.mask, ALL);
    this.#store.u32(at + fields.mult, scale.mult);
    this.#store.u32(at + fields.shift, scale.shift);
  }

  #base(structure: number, clock: ClockId, { sec, shifted }: Base): void {
    this.#pair(structure, clock, BigInt(sec), shifted);
  }

  #coarse(clock: ClockId, { sec, nsec }: Timespec): void {
    this.#pair(0, clock, BigInt(sec), BigInt(nsec));
  }

  #pair(structure: number, clock: ClockId, sec: bigint, nsec: bigint): void {
    const at = this.#at(structure) + this.#abi.fields.bases + 16 * clock;
    this.#store.u64(at, BigInt.asUintN(64, sec));
    this.#store.u64(at + 8, nsec);
  }
}

/** Offsets that the tasks of a namespace see. */
export interface Offsets {
  readonly monotonic: Timespec;
  readonly boottime: Timespec;
}

/**
 * Fills the page of a namespace, once (`kernel/time/namespace.c`: `timens_setup_vdso_data`). Its odd sequence leads readers to the slow way, where they look
 * at the mode; only there is the offset added, so that tasks without a namespace never pay.
 * @param store of a page of zeros
 */
export function fillNamespacePage(store: PageStore, abi: VvarAbi, { monotonic, boottime }: Offsets): void {
  for (const k of [0, 1]) {
    const at = abi.clocks + k * abi.stride;
    store.u32(at + abi.fields.mode, ClockMode.Timens);
    for (let clock = 0; clock < CLOCKS; clock++) {
      const offset = offsetIn(clock, monotonic, boottime);
      if (offset === null) continue;
      store.u64(at + abi.fields.bases + 16 * clock, BigInt.asUintN(64, BigInt(offset.sec)));
      store.u64(at + abi.fields.bases + 16 * clock + 8, BigInt(offset.nsec));
    }
    store.u32(at + abi.fields.seq, 1);
  }
}

function offsetIn(clock: ClockId, monotonic: Timespec, boottime: Timespec): Timespec | null {
  const which = OFFSET_OF[clock];
  if (which === undefined) return null;
  return which === "monotonic" ? monotonic : boottime;
}
