import type { VirtualClock } from "./clock.js";
import { MachineError } from "./error.js";

/** Longest way that a guest which waits is brought forward at once, ns: Linux can account for 600 s of a 1 GHz TSC that it has not looked at. */
const MAX_SKIP = 240e9;
/** The same for one that is busy, ns: its watchdogs give a task some 20 s. */
const BUSY_SKIP = 1e9;
/** Instructions that a guest may execute without ever waiting before it is brought forward all the same. */
const PATIENCE = 10_000_000;
/** And from then on until it is again. */
const BUSY_DISTANCE = 100_000;

/**
 * Jumps of a machine's time. A guest must not find that all of it has passed at once, so that its timers were all missed and its arithmetic overflows:
 * time goes on faster. While the guest waits it is where the next timer is due; while it is busy time runs as usual, unless it is so for long.
 */
export class FastForward {
  readonly #clock: VirtualClock;
  /** What calls off each of the jumps under way. */
  readonly #jumps = new Set<(error: MachineError) => void>();
  /** Virtual ns at which the last of them ends. */
  #to = 0;
  /** Count of instructions from which on the guest has been busy. */
  #busySince = 0;
  #over: MachineError | null = null;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  /**
   * Brings time forward by `ns`; behind the jumps that are under way.
   * @returns resolves when that time has passed
   * @throws {VmClockError} `jump`; {@link MachineError} `state` when the machine has ended, or does before
   */
  async jump(ns: number): Promise<void> {
    if (this.#over !== null) throw this.#over;
    const clock = this.#clock;
    const from = this.#jumps.size > 0 ? this.#to : clock.now();
    clock.time.checkJump(ns, from);
    this.#to = from + ns;
    return new Promise((resolve, reject) => {
      if (this.#jumps.size === 0) this.#busySince = clock.retired;
      this.#jumps.add(reject);
      clock.schedule(this.#to, () => {
        this.#jumps.delete(reject);
        resolve();
      });
      // This timer is not the next, perhaps, but the way there is shorter from now on.
      clock.reconsider();
    });
  }

  get #underWay(): boolean {
    return this.#jumps.size > 0 && !this.#clock.time.frozen;
  }

  /** No processor can run: goes to the next timer, or as far towards it as may be. @returns whether there is a jump under way */
  idle(): boolean {
    const { time, next, retired } = this.#clock;
    this.#busySince = retired;
    if (!this.#underWay) return false;
    time.jumpTo(Math.min(next, time.now() + MAX_SKIP));
    return true;
  }

  /** A slice has ended. What a busy guest is brought forward is more than its timers are apart: they fire late, in their order. */
  busy(): void {
    const { time, retired } = this.#clock;
    if (!this.#underWay || retired - this.#busySince < PATIENCE) return;
    this.#busySince += BUSY_DISTANCE;
    time.jumpTo(Math.min(this.#to, time.now() + BUSY_SKIP));
  }

  /** The machine has ended. */
  end(reason: string): void {
    this.#over = new MachineError("state", `the machine has ended (${reason}): its time goes no further`);
    for (const reject of this.#jumps) reject(this.#over);
    this.#jumps.clear();
  }
}
