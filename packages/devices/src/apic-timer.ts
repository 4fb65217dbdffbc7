import type { Clock, Timer } from "./ports.js";
import { read, StateError, type StateReader } from "./state.js";

/** How the time stamp counter maps to virtual time. The guest can write its TSC, so the machine owns the mapping. */
export interface TscPort {
  /** The virtual time in ns at which this CPU's TSC reads `ticks` (may lie in the past, may be negative). */
  tscToNs(ticks: number): number;
}

/** The three modes of LVT timer bits 18:17; the reserved encoding 3 counts as one-shot. */
export type ApicTimerMode = "one-shot" | "periodic" | "tsc-deadline";

export interface ApicTimerState {
  readonly mode: ApicTimerMode;
  readonly initialCount: number;
  readonly divideConfig: number;
  readonly startNs: number;
  readonly running: boolean;
  readonly deadlineLo: number;
  readonly deadlineHi: number;
}

const shape = read.record<ApicTimerState>({
  mode: read.oneOf<ApicTimerMode>("one-shot", "periodic", "tsc-deadline"),
  initialCount: read.u32,
  divideConfig: read.bits(0b1011),
  startNs: read.time,
  running: read.flag,
  deadlineLo: read.u32,
  deadlineHi: read.u32,
});

export const readTimer: StateReader<ApicTimerState> = (value, path = "") => {
  const state = shape(value, path);
  if (state.running && (state.initialCount === 0 || state.mode === "tsc-deadline"))
    throw new StateError(path, `runs with a count of ${state.initialCount} in ${state.mode} mode, where it cannot`);
  return state;
};

const HI = 2 ** 32;

/**
 * The timer of a local APIC (SDM 3A 11.5.4).
 *
 * Initial count (0-2^32-1), current count, divide configuration (1, 2, 4 ... 128), IA32_TSC_DEADLINE (MSR 0x6e0).
 * The input clock is the 1 GHz crystal of CPUID leaf 0x15: one count is `divide` virtual ns.
 * Emulated: one-shot, periodic, TSC-deadline. A periodic timer that the host served late fires once and keeps its phase.
 * Not emulated: the delay between expiry and interrupt.
 */
export class ApicTimer {
  mode: ApicTimerMode = "one-shot";
  initialCount = 0;
  /** The divide configuration register, bits 3, 1 and 0. */
  divideConfig = 0;
  /** IA32_TSC_DEADLINE, low and high half; 0 when disarmed. */
  deadlineLo = 0;
  deadlineHi = 0;
  /** Virtual ns at which the count was `initialCount`. */
  #startNs = 0;
  /** Counting down in one-shot or periodic mode. */
  #running = false;
  #timer: Timer | null = null;
  readonly #clock: Clock;
  readonly #tsc: TscPort;
  readonly #onExpire: () => void;

  constructor(clock: Clock, tsc: TscPort, onExpire: () => void) {
    this.#clock = clock;
    this.#tsc = tsc;
    this.#onExpire = onExpire;
  }

  /** Selects the mode. Entering or leaving TSC-deadline mode disarms the timer (SDM 3A 11.5.4.1). */
  setMode(mode: ApicTimerMode): void {
    // A count that has reached zero stays there in the new mode, also where the host has not served its expiry yet.
    if (this.mode === "one-shot" && this.#running && this.currentCount === 0) {
      this.#timer?.cancel();
      this.#expire();
    }
    if ((mode === "tsc-deadline") !== (this.mode === "tsc-deadline")) this.#disarm();
    this.mode = mode;
  }

  /** Writes the initial count: 0 stops the timer, anything else starts it anew. Ignored in TSC-deadline mode. */
  setInitialCount(count: number): void {
    if (this.mode === "tsc-deadline") return;
    this.#disarm();
    this.initialCount = count;
    this.#running = count !== 0;
    this.#startNs = this.#clock.now();
    this.#arm();
  }

  /** The current count; 0 when stopped and in TSC-deadline mode. */
  get currentCount(): number {
    if (!this.#running) return 0;
    const elapsed = Math.max(0, Math.floor((this.#clock.now() - this.#startNs) / this.#divisor));
    if (this.mode === "periodic") return this.initialCount - (elapsed % this.initialCount);
    return Math.max(0, this.initialCount - elapsed);
  }

  /** Writes the divide configuration. A running count goes on from where it is. */
  setDivideConfig(config: number): void {
    const remaining = this.currentCount;
    this.divideConfig = config & 0b1011;
    if (!this.#running) return;
    this.#startNs = this.#clock.now() - (this.initialCount - remaining) * this.#divisor;
    this.#arm();
  }

  /** Writes IA32_TSC_DEADLINE: 0 disarms, a TSC value that has passed expires at once. Ignored in the other modes. */
  setDeadline(lo: number, hi: number): void {
    if (this.mode !== "tsc-deadline") return;
    this.deadlineLo = lo;
    this.deadlineHi = hi;
    this.#arm();
  }

  /** The mapping of {@link TscPort} has changed (a write to IA32_TIME_STAMP_COUNTER or IA32_TSC_ADJUST). */
  tscChanged(): void {
    if (this.mode === "tsc-deadline") this.#arm();
  }

  /** Back to the power-up state: one-shot, stopped, divide by 2. */
  reset(): void {
    this.#disarm();
    this.mode = "one-shot";
    this.divideConfig = 0;
  }

  save(): ApicTimerState {
    const { mode, initialCount, divideConfig, deadlineLo, deadlineHi } = this;
    const [startNs, running] = [this.#startNs, this.#running];
    return { mode, initialCount, divideConfig, startNs, running, deadlineLo, deadlineHi };
  }

  /** Takes a saved state; the clock must already show the time of the save. @throws {StateError} */
  restore(saved: ApicTimerState): void {
    const state = readTimer(saved);
    this.mode = state.mode;
    this.initialCount = state.initialCount;
    this.divideConfig = state.divideConfig;
    this.#startNs = state.startNs;
    this.#running = state.running;
    this.deadlineLo = state.deadlineLo;
    this.deadlineHi = state.deadlineHi;
    this.#arm();
  }

  /** 1, 2, 4 ... 128: the encoding is the exponent minus one, with 7 for 1 (SDM 3A figure 11-10). */
  get #divisor(): number {
    const code = (this.divideConfig & 3) | ((this.divideConfig & 8) >> 1);
    return code === 7 ? 1 : 2 << code;
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.initialCount = 0;
    this.#running = false;
    this.deadlineLo = 0;
    this.deadlineHi = 0;
  }

  /** Schedules the next expiry, replacing whatever was scheduled. */
  #arm(): void {
    this.#timer?.cancel();
    this.#timer = null;
    const at = this.#expiry();
    if (at === null) return;
    if (at <= this.#clock.now()) this.#expire();
    else this.#timer = this.#clock.schedule(at, () => this.#expire());
  }

  /** When the timer expires next, in virtual ns; null if it does not. */
  #expiry(): number | null {
    if (this.mode === "tsc-deadline") {
      if (this.deadlineLo === 0 && this.deadlineHi === 0) return null;
      return this.#tsc.tscToNs(this.deadlineHi * HI + this.deadlineLo);
    }
    return this.#running ? this.#startNs + this.initialCount * this.#divisor : null;
  }

  #expire(): void {
    this.#timer = null;
    if (this.mode === "periodic") {
      const period = this.initialCount * this.#divisor;
      this.#startNs += Math.max(1, Math.floor((this.#clock.now() - this.#startNs) / period)) * period;
      this.#timer = this.#clock.schedule(this.#startNs + period, () => this.#expire());
    } else {
      this.#running = false;
      this.deadlineLo = 0;
      this.deadlineHi = 0;
    }
    this.#onExpire();
  }
}
