import { MAX_RATE, MIN_RATE } from "@vm/vdso-timens";
import type { MachineOptions } from "../index.js";
import { MAX_UNIX_TIME } from "../option-checks.js";
import { UsageError } from "./errors.js";

/** When time starts: so many seconds from where it would, or at a time of day. */
export type ClockStart = Pick<MachineOptions, "clockOffset" | "unixTime">;

/** Units of an offset, longest first, in seconds. */
const UNITS: Readonly<Record<string, number>> = { y: 365 * 86400, w: 7 * 86400, d: 86400, h: 3600, m: 60, s: 1 };
const OFFSET = new RegExp(
  `^([+-]?)(?=\\d)${Object.keys(UNITS)
    .map((unit) => `(?:(\\d{1,10})${unit})?`)
    .join("")}$`,
);
const DATE = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?)?$/;

const WANTED =
  "an offset such as +1y, -3d or +2h30m (y w d h m s, a year is 365 days), or a date such as 2030-01-31 or 2030-01-31T12:00Z";

/** What `--clock-offset` says: `+1y`, `-3d`, `+2h30m`, or a date, in UTC unless it has a zone. @throws {UsageError} */
export function parseClockOffset(text: string): ClockStart {
  const clockOffset = seconds(text);
  const unixTime = clockOffset === null ? date(text) : 0;
  if (unixTime === null) throw new UsageError(`--clock-offset "${text}" is not ${WANTED}`);
  if (unixTime >= 0 && unixTime <= MAX_UNIX_TIME && Math.abs(clockOffset ?? 0) <= MAX_UNIX_TIME)
    return clockOffset === null ? { unixTime } : { clockOffset };
  const last = new Date(MAX_UNIX_TIME * 1000).toISOString().slice(0, 10);
  throw new UsageError(`--clock-offset "${text}": the time of day can be from 1970-01-01 to ${last}`);
}

/** An offset; null if it is none. */
function seconds(text: string): number | null {
  const match = OFFSET.exec(text);
  if (match === null) return null;
  const [, sign, ...counts] = match;
  const sum = Object.values(UNITS).reduce((total, unit, k) => total + unit * Number(counts[k] ?? 0), 0);
  return sign === "-" ? -sum : sum;
}

/** Seconds since 1970; null if it is no date. */
function date(text: string): number | null {
  const match = DATE.exec(text);
  if (match === null) return null;
  // A date without a zone is UTC, as the guest's real-time clock is; to the language one with a time would be local.
  const ms = Date.parse(text.replace(" ", "T") + (text.length > 10 && match[1] === undefined ? "Z" : ""));
  return Number.isNaN(ms) ? null : ms / 1000;
}

/** What `--clock-rate` says. @throws {UsageError} */
export function parseClockRate(text: string): number {
  const rate = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (rate >= MIN_RATE && rate <= MAX_RATE) return rate;
  throw new UsageError(`--clock-rate "${text}" is not a number from ${MIN_RATE} to ${MAX_RATE}`);
}
