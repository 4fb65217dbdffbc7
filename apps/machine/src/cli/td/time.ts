import { isoTime } from "@vm/tdx";
import { UsageError } from "../errors.js";

/** Seconds from 1970 to the end of 9999. */
const LAST = 253_402_300_799;

/** A time that a flag gives: ISO 8601 in UTC, to the day, minute or second, or seconds since 1970. @throws {UsageError} */
export function timeFlag(flag: string, text: string): Date {
  if (/^\d{1,12}$/.test(text) && Number(text) <= LAST) return new Date(1000 * Number(text));
  const match = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(?:\.\d+)?(?:Z|\+00:00)?)?$/i.exec(text);
  const [, day, minute = "00:00", second = ":00"] = match ?? [];
  const time = day === undefined ? Number.NaN : isoTime(`${day}T${minute}${second}Z`);
  if (Number.isNaN(time) || time < 0)
    throw new UsageError(`${flag} ${text}: not a time; 2025-06-22, 2025-06-22T12:00:00Z and 1750593600 are`);
  return new Date(time);
}
