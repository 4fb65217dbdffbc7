import type { VirtualClock } from "./clock.js";
import type { FastForward } from "./fast-forward.js";

const SECOND = 1e9;

/**
 * Time of a machine, to be changed while it runs. Everything the guest can tell the time by (TSC, timers, real-time clock, KVM's clock) is made of it
 * and goes on agreeing.
 */
export class MachineTime {
  readonly #clock: VirtualClock;
  readonly #forward: FastForward;

  constructor(clock: VirtualClock, forward: FastForward) {
    this.#clock = clock;
    this.#forward = forward;
  }

  /**
   * Virtual ns for each ns of the host, or with `icount` for each instruction: 0.001 to 1000. A guest has timers of its own several hundred times a
   * second of its time: from about 100 on it does little else.
   */
  get rate(): number {
    return this.#clock.time.rate;
  }

  /** @throws {VmClockError} `rate` */
  set rate(rate: number) {
    this.#clock.time.rate = rate;
    this.#clock.reconsider();
  }

  get frozen(): boolean {
    return this.#clock.time.frozen;
  }

  /** Virtual time stands still and no timer fires, while the guest goes on executing. A jump waits. A guest that waits for time to pass waits, or spins. */
  freeze(): void {
    this.#clock.time.freeze();
    this.#clock.reconsider();
  }

  /** Virtual time goes on where it stood. */
  thaw(): void {
    this.#clock.time.thaw();
    this.#clock.reconsider();
  }

  /**
   * Sets the time of day alone, forward or, below 0, backward: what the real-time clock and the wall clock of KVM's tell from now on. A Linux that runs has its
   * own, which `hwclock -s` in the guest sets by the real-time clock.
   * @param seconds such that it stays between 1970 and 2116; may have a fraction
   * @throws {VmClockError} `time-of-day`
   */
  step(seconds: number): void {
    this.#clock.time.step(seconds * SECOND);
  }

  /**
   * Brings all clocks forward, as fast as the guest can: while it waits, time is at once where its next timer is due, and so every timer fires at its time and
   * in its order; while it is busy time runs as usual. One that never waits is brought forward by a second for every 100,000 instructions,
   * and has its timers late by as much. Jumps follow each other. While the machine is paused, or time frozen, the jump waits.
   * @param seconds 0 or more, up to 2^62 ns of virtual time in all; may have a fraction
   * @returns resolves when so much virtual time has passed
   * @throws {VmClockError} `jump`; {@link MachineError} `state` if the machine has ended, or ends before
   */
  jump(seconds: number): Promise<void> {
    return this.#forward.jump(seconds * SECOND);
  }
}
