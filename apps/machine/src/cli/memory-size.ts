import { UsageError } from "./errors.js";

const UNITS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** Bytes of a size like `512M`, `1.5G` or `65536K`; a bare number counts MiB. @throws {UsageError} */
export function parseMemorySize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?$/i.exec(text.trim());
  const bytes = Number(match?.[1]) * (UNITS[(match?.[2] || "M").toUpperCase()] ?? Number.NaN);
  if (!Number.isSafeInteger(bytes)) throw new UsageError(`--memory "${text}" is not a size such as 512M or 2G`);
  return bytes;
}
