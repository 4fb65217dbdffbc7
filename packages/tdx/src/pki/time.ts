import { type DerReader, type DerValue, Tag } from "./der-read.js";
import { PkiError } from "./errors.js";

/**
 * Milliseconds since 1970 of a date in the calendar.
 *
 * @param month 1 to 12
 * @returns NaN for what is not in the calendar, a leap second among them
 */
export function calendar(
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
): number {
  const time = Date.UTC(year, month - 1, day, hour, minute, second);
  const back = new Date(time);
  const same = back.getUTCMonth() === month - 1 && back.getUTCDate() === day && back.getUTCFullYear() === year;
  return same && hour < 24 && minute < 60 && second < 60 ? time : Number.NaN;
}

/** Time of RFC 5280, 4.1.2.5, in ms since 1970: UTCTime from 1950 to 2049 and GeneralizedTime from then on, to the second, in UTC. */
export function readTime(reader: DerReader, what: string): number {
  const short = reader.tag === Tag.utcTime;
  const value = reader.next(short ? Tag.utcTime : Tag.generalizedTime, what);
  const text = String.fromCharCode(...value.content.subarray(0, 16));
  const match = (
    short ? /^()(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/
  ).exec(text);
  const time = match === null ? Number.NaN : timeOf(match.slice(1), short);
  if (Number.isNaN(time)) throw new PkiError("der", `${what}: not a time as certificates have it`);
  return time;
}

function timeOf(groups: readonly string[], short: boolean): number {
  const [century = 0, year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = groups.map(Number);
  const full = short ? year + (year < 50 ? 2000 : 1900) : century * 100 + year;
  if (!short && full < 2050) return Number.NaN;
  return calendar(full, month, day, hour, minute, second);
}

/** Tag and text of a time for {@link readTime}. Milliseconds are cut off. */
export function timeText(time: Date): Pick<DerValue, "tag"> & { readonly text: string } {
  const digits = time
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replace(/[-:T]/g, "");
  const year = time.getUTCFullYear();
  if (year >= 1950 && year < 2050) return { tag: Tag.utcTime, text: digits.slice(2) };
  return { tag: Tag.generalizedTime, text: digits };
}
