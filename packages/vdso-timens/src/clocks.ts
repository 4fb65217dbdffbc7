/** Clocks by their number (`include/uapi/linux/time.h`). */
export enum ClockId {
  Realtime = 0,
  Monotonic = 1,
  ProcessCputime = 2,
  ThreadCputime = 3,
  MonotonicRaw = 4,
  RealtimeCoarse = 5,
  MonotonicCoarse = 6,
  Boottime = 7,
  RealtimeAlarm = 8,
  BoottimeAlarm = 9,
  Tai = 11,
}

/** Clocks a page has room for (`VDSO_BASES`). */
export const CLOCKS = 12;

/** Clocks that count by the counter, one bit each (`VDSO_HRES`). */
export const HIGH_RESOLUTION =
  (1 << ClockId.Realtime) | (1 << ClockId.Monotonic) | (1 << ClockId.Boottime) | (1 << ClockId.Tai);
/** Those that stand still between ticks (`VDSO_COARSE`). */
export const COARSE = (1 << ClockId.RealtimeCoarse) | (1 << ClockId.MonotonicCoarse);
/** Those that nobody adjusts (`VDSO_RAW`). */
export const RAW = 1 << ClockId.MonotonicRaw;

/** Which of the two offsets of a time namespace a clock is subject to (`man 7 time_namespaces`). */
export const OFFSET_OF: Readonly<Partial<Record<ClockId, "monotonic" | "boottime">>> = {
  [ClockId.Monotonic]: "monotonic",
  [ClockId.MonotonicRaw]: "monotonic",
  [ClockId.MonotonicCoarse]: "monotonic",
  [ClockId.Boottime]: "boottime",
  [ClockId.BoottimeAlarm]: "boottime",
};

/** A point in time or an offset: `nsec` is 0 to 999999999, also where `sec` is negative. */
export interface Timespec {
  readonly sec: number;
  readonly nsec: number;
}

export const NSEC_PER_SEC = 1_000_000_000;

/** Nanoseconds as a `Timespec`. */
export function timespec(ns: bigint): Timespec {
  const nsec = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return { sec: Number((ns - nsec) / 1_000_000_000n), nsec: Number(nsec) };
}

/** Nanoseconds of a `Timespec`. */
export const nanoseconds = ({ sec, nsec }: Timespec): bigint => BigInt(sec) * 1_000_000_000n + BigInt(nsec);
