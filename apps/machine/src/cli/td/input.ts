import { CcelError, EventLogError, QuoteError, TdvfError } from "@vm/tdx";
import { UsageError } from "../errors.js";
import { readFile } from "../read-file.js";

/** Errors of files that are not what they should be. */
const UNUSABLE = [CcelError, EventLogError, QuoteError, TdvfError];

/**
 * Reads a file and parses it.
 *
 * @param what the flag that names it, or "" for an argument
 * @param most bytes that are read
 * @throws {UsageError} for a file that cannot be read, or that `parse` takes for something else
 */
export async function parsed<T>(what: string, path: string, most: number, parse: (bytes: Uint8Array) => T): Promise<T> {
  const { signal } = new AbortController();
  const bytes = await readFile(what, path, { most, signal });
  return unusable(what, path, () => parse(bytes));
}

/** What `parse` makes of the file at `path`. @throws {UsageError} for one that it takes for something else */
export function unusable<T>(what: string, path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!UNUSABLE.some((kind) => error instanceof kind)) throw error;
    throw new UsageError(`${what === "" ? "" : `${what} `}${path}: ${(error as Error).message}`);
  }
}

/** Bytes of a quote's file, which may have them in hexadecimal: digits, white space, and 0x before all. */
export function quoteBytes(file: Uint8Array): Uint8Array {
  // Digits as the bytes of a quote would be a version that does not exist.
  const text = new TextDecoder("latin1").decode(file).trim().replace(/^0x/i, "").replaceAll(/\s/g, "");
  return /^(?:[0-9a-f]{2})+$/i.test(text) ? Uint8Array.from(Buffer.from(text, "hex")) : file;
}
