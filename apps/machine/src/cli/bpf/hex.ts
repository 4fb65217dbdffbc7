import { UsageError } from "../errors.js";

/** Bytes from hexadecimal digits, which may have spaces between bytes. @param what they are, for the message. @throws {UsageError} */
export function parseHex(what: string, text: string): Uint8Array {
  const digits = text.replace(/\s+/g, "");
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits))
    throw new UsageError(`${what}: expected bytes in hexadecimal, as in "b7 00 00 00 01 00 00 00"`);
  return Uint8Array.from({ length: digits.length / 2 }, (_, k) => Number.parseInt(digits.slice(2 * k, 2 * k + 2), 16));
}

/** Characters of standard input that are read. */
const INPUT_MOST = 64 << 20;

/** All of standard input, as text. @throws {UsageError} for more than 64 MiB */
export async function readInput(): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of process.stdin) {
    pieces.push(piece);
    length += piece.length;
    if (length > INPUT_MOST) throw new UsageError(`standard input has more than ${INPUT_MOST} bytes`);
  }
  return Buffer.concat(pieces).toString("latin1");
}
