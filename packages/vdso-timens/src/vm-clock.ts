/** What a {@link VmClock} was asked for that it cannot do. */
export type VmClockErrorCode = "rate" | "jump" | "time-of-day" | "state";

/** A number for a {@link VmClock} is out of range; nothing has changed. The message names it and says what would be accepted. */
export class VmClockError extends RangeError {
  override readonly name = "VmClockError";

  constructor(
    readonly code: VmClockErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** Slowest and fastest rate, inclusive. */
export const MIN_RATE = 1 / 1000;
export const MAX_RATE = 1000;
/** Virtual time and the time of day end before this, ns: 146 years after their beginning. */
export const MAX_TIME = 2 ** 62;

const SECOND = 1e9;

/** What a clock is made of. */
export interface VmClockDesc {
  /** What time is made of: nanoseconds of the host, or instructions. Never goes backwards; below 2^53, may have a fraction. */
  readonly source: () => number;
  /** Virtual ns for each unit of the source, {@link MIN_RATE} to {@link MAX_RATE}. Default 1. */
  readonly rate?: number | undefined;
  /** Time of day at which the clock starts: seconds since 1970, from 0 to {@link MAX_TIME} / 1e9, may have a fraction. Default 0. */
  readonly unixTime?: number | undefined;
}

export interface VmClockState {
  /** Virtual ns, whole. */
  readonly ns: number;
  /** What has passed of the next one, 0 to below 1. */
  readonly fraction: number;
  /** Seconds since 1970 at virtual time 0. */
  readonly origin: number;
  readonly rate: number;
  readonly frozen: boolean;
}

/**
 * The clock of a virtual machine, which its owner makes faster, slower, stops and sets forward: what no time namespace can do, whose offsets are added to one
 * clock that all share. All that a guest has for a clock follows from this one, so that its clocks agree whatever is done here.
 *
 * Virtual time starts at 0, goes on without a step when the rate changes, and never goes backwards; the time of day can. Over a source that is
 * deterministic so is the clock. Times are numbers: whole ns up to 2^53 (104 days), then multiples of 2, 4 ... 512 ns.
 */
export class VmClock {
  readonly #source: () => number;
  /** Whole virtual ns when the source was at `since`. */
  #base = 0;
  /**
   * What had passed of the next one then, 0 to below 1, so that changes of the rate lose nothing; by itself, because in a sum of both it would be rounded,
   * to a ns more.
   */
  #fraction = 0;
  #since: number;
  /** Virtual ns for each unit of the source: the rate, or 0 while frozen. */
  #speed: number;
  #rate: number;
  /** Seconds since 1970 at virtual time 0. */
  #origin: number;

  /** @throws {VmClockError} `rate`, `time-of-day` */
  constructor({ source, rate = 1, unixTime = 0 }: VmClockDesc) {
    this.#source = source;
    this.#since = source();
    this.#rate = this.#speed = checkedRate(rate);
    this.#origin = checkedTimeOfDay(unixTime, unixTime);
  }

  /** Virtual ns since the clock was made, whole. */
  now(): number {
    return this.at(this.#source());
  }

  /** What {@link now} is when the source is at `source`, unless something changes before; not for what was before the last change. */
  at(source: number): number {
    return this.#base + Math.floor(this.#fraction + (source - this.#since) * this.#speed);
  }

  /** The time of day: seconds since 1970, with a fraction. */
  realtime(): number {
    return this.#origin + this.now() / SECOND;
  }

  /** Virtual ns for each unit of the source while the clock is not frozen, {@link MIN_RATE} to {@link MAX_RATE}. */
  get rate(): number {
    return this.#rate;
  }

  /** @throws {VmClockError} `rate` */
  set rate(rate: number) {
    this.#rate = checkedRate(rate);
    if (!this.frozen) this.#goOnAt(rate);
  }

  get frozen(): boolean {
    return this.#speed === 0;
  }

  /** Time stands still from now on; frozen already, it stays so. */
  freeze(): void {
    this.#goOnAt(0);
  }

  /** Time goes on where it stood. */
  thaw(): void {
    this.#goOnAt(this.#rate);
  }

  /**
   * Sets all clocks forward, also while frozen.
   * @param ns 0 or more, and not beyond {@link MAX_TIME}
   * @throws {VmClockError} `jump`
   */
  jump(ns: number): void {
    this.checkJump(ns);
    this.#goOnAt(this.#speed);
    this.#advance(Math.floor(ns), ns % 1);
  }

  /** Whether {@link jump} could do it when the clock is at `from`. @throws {VmClockError} as that does */
  checkJump(ns: number, from: number = this.now()): void {
    if (ns >= 0 && from + ns < MAX_TIME) return;
    throw new VmClockError("jump", `a jump of ${ns} ns: from ${from} ns it can be 0 or more, to below 2^62 ns`);
  }

  /** Sets all clocks forward to the first whole ns that is not before `at`, unless it has passed. @throws {VmClockError} `jump` */
  jumpTo(at: number): void {
    const [from, to] = [this.now(), Math.ceil(at)];
    if (to <= from) return;
    // Not for what is still possible: the sum of way and start is rounded.
    if (to >= MAX_TIME) this.checkJump(to - from, from);
    this.#goOnAt(this.#speed);
    // Over a source that moves by itself time may have got there meanwhile.
    if (this.#base >= to) return;
    this.#base = to;
    this.#fraction = 0;
  }

  /**
   * Sets the time of day, and nothing else, forward or, below 0, backward.
   * @param ns such that the time of day is not before 1970, nor {@link MAX_TIME} after
   * @throws {VmClockError} `time-of-day`
   */
  step(ns: number): void {
    const seconds = ns / SECOND;
    checkedTimeOfDay(this.realtime() + seconds, seconds);
    this.#origin += seconds;
  }

  /**
   * What a virtual deadline means to the source: whole units until `now() >= deadline`, for a source of whole units not one too many (while times are
   * whole ns). 0 if it has passed, else Infinity while the clock is frozen.
   */
  until(deadline: number): number {
    const source = this.#source();
    if (this.at(source) >= deadline) return 0;
    if (this.#speed === 0 || deadline === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
    const ahead = Math.ceil(deadline) - this.#base - this.#fraction;
    let units = Math.ceil(ahead / this.#speed - (source - this.#since));
    // The quotient is rounded: it may be a unit off, either way.
    for (let more = 1; this.at(source + units) < deadline; more *= 2) units += more;
    return this.at(source + units - 1) >= deadline ? units - 1 : units;
  }

  save(): VmClockState {
    this.#goOnAt(this.#speed);
    const { frozen } = this;
    return { ns: this.#base, fraction: this.#fraction, origin: this.#origin, rate: this.#rate, frozen };
  }

  /** Goes on, from where the source is now, as the saved clock would have. @throws {VmClockError} `state` for what no clock saved; nothing has changed */
  restore(state: VmClockState): void {
    const { ns, fraction, origin, rate, frozen } = checkedState(state);
    this.#rate = rate;
    this.#goOnAt(frozen ? 0 : rate);
    this.#base = ns;
    this.#fraction = fraction;
    this.#origin = origin;
  }

  #goOnAt(speed: number): void {
    const at = this.#source();
    this.#advance(0, (at - this.#since) * this.#speed);
    this.#since = at;
    this.#speed = speed;
  }

  /** @param more with a fraction */
  #advance(whole: number, more: number): void {
    const sum = this.#fraction + more;
    this.#base += whole + Math.floor(sum);
    this.#fraction = sum % 1;
  }
}

/** What a state says that may be made up. */
function checkedState(state: unknown): VmClockState {
  const names = Object.keys(RANGES);
  const isRecord = typeof state === "object" && state !== null && !Array.isArray(state);
  if (!isRecord || Object.keys(state).length !== names.length || !names.every((name) => Object.hasOwn(state, name)))
    throw new VmClockError("state", `the state of a clock has ${names.join(", ")}, and nothing else`);
  const held = state as Record<keyof VmClockState, unknown>;
  for (const [name, { accepts, what }] of Object.entries(RANGES)) {
    const value = held[name as keyof VmClockState];
    if (!accepts(value)) throw new VmClockError("state", `${name} is ${shown(value)}: it can be ${what}`);
  }
  return held as VmClockState;
}

const isNumber = (value: unknown): value is number => typeof value === "number";
const shown = (value: unknown): string =>
  isNumber(value) || typeof value === "boolean" ? String(value) : value === null ? "null" : `a ${typeof value}`;
const END = MAX_TIME / SECOND;
const RANGES: {
  readonly [K in keyof VmClockState]: { readonly accepts: (value: unknown) => boolean; readonly what: string };
} = {
  ns: {
    accepts: (value) => isNumber(value) && Number.isInteger(value) && value >= 0 && value < MAX_TIME,
    what: "a whole number from 0 to below 2^62",
  },
  fraction: { accepts: (value) => isNumber(value) && value >= 0 && value < 1, what: "0 to below 1" },
  // The time of day was one that a clock can have, at a time that it can have.
  origin: {
    accepts: (value) => isNumber(value) && value > -END && value < END,
    what: "between the time of day of a clock and as much before 1970",
  },
  rate: {
    accepts: (value) => isNumber(value) && value >= MIN_RATE && value <= MAX_RATE,
    what: `${MIN_RATE} to ${MAX_RATE}`,
  },
  frozen: { accepts: (value) => typeof value === "boolean", what: "true or false" },
};

function checkedRate(rate: number): number {
  if (rate >= MIN_RATE && rate <= MAX_RATE) return rate;
  throw new VmClockError("rate", `a rate of ${rate}: it can be ${MIN_RATE} to ${MAX_RATE}`);
}

/** @param given what the message names */
function checkedTimeOfDay(seconds: number, given: number): number {
  if (seconds >= 0 && seconds < MAX_TIME / SECOND) return seconds;
  const last = new Date((MAX_TIME / SECOND) * 1000).toISOString().slice(0, 10);
  throw new VmClockError("time-of-day", `${given} s: the time of day can be from 1970-01-01 to ${last}`);
}
