/** Which times that a task gives are of the clocks it sees, and have to be converted. */
import { ClockId } from "../clocks.js";
import type { TimeNamespace } from "./time-namespace.js";

/** `TIMER_ABSTIME` and `TFD_TIMER_ABSTIME`. */
export const ABSTIME = 1;

/** Operations of futex(2) that count here, and its flags (uapi `linux/futex.h`). */
export enum Futex {
  Wait = 0,
  LockPi = 6,
  WaitBitset = 9,
  WaitRequeuePi = 11,
  LockPi2 = 13,
  PrivateFlag = 128,
  ClockRealtime = 256,
}

/** A system call that takes a time. */
export type TimedCall =
  | {
      readonly call: "clock_nanosleep" | "timer_settime" | "timerfd_settime";
      readonly clock: ClockId;
      readonly flags: number;
    }
  | { readonly call: "futex"; readonly op: number }
  | { readonly call: "futex_waitv"; readonly clock: ClockId };

/**
 * The time of a system call as the host counts it, nanoseconds (`kernel/time/posix-timers.c`, `alarmtimer.c`, `fs/timerfd.c`, `kernel/futex/syscalls.c`).
 * Relative times stay as they are, and so do all of calls that are not here: poll(2), select(2), epoll_wait(2), nanosleep(2). A timer with the time 0 is
 * disarmed before this: afterwards 0 means that it has expired.
 * @param t as the task gave it, 0 to `KTIME_MAX`
 */
export function timeToHost(namespace: TimeNamespace, call: TimedCall, t: bigint): bigint {
  const clock = absoluteClock(call);
  return clock === null ? t : namespace.toHost(clock, t);
}

/** The clock that the time is a time of; null if it is relative, or of a clock that is the same everywhere. */
function absoluteClock(call: TimedCall): ClockId | null {
  if (call.call === "futex_waitv") return call.clock;
  if (call.call !== "futex") return (call.flags & ABSTIME) !== 0 ? call.clock : null;
  const op = call.op & ~(Futex.PrivateFlag | Futex.ClockRealtime);
  if (op === Futex.Wait || op === Futex.LockPi || (call.op & Futex.ClockRealtime) !== 0) return null;
  return ClockId.Monotonic;
}
