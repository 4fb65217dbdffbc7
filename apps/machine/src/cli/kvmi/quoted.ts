import { decodeText, type GuestReader, UnmappedError } from "@vm/kvmi";
import { printable } from "../printable.js";

/** Bytes of text as a C program would have them, between quotation marks; with dots behind if there are more. */
export function quoted(bytes: Uint8Array, whole = true): string {
  const text = decodeText(bytes).replace(/["\\\n\t\r]/g, (character) => ESCAPES[character] ?? character);
  return `"${printable(text)}"${whole ? "" : "..."}`;
}

const ESCAPES: Readonly<Record<string, string>> = { '"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r" };

export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
export const pointer = (value: bigint): string => (value === 0n ? "NULL" : hex(value));

/** What `read` finds in the guest's memory; the address if nothing is mapped there. */
export async function orPointer(address: bigint, read: () => Promise<string>): Promise<string> {
  if (address === 0n) return pointer(address);
  try {
    return await read();
  } catch (error) {
    if (error instanceof UnmappedError) return pointer(address);
    throw error;
  }
}

/** The string at `address`, `most` bytes of it. */
export const stringAt = (reader: GuestReader, address: bigint, most: number): Promise<string> =>
  orPointer(address, async () => {
    const { bytes, whole } = await reader.cString(address, most);
    return quoted(bytes, whole);
  });
