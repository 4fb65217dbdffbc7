const OEM_ID = "VMTS  ";
const OEM_TABLE_ID = "VMMICRO ";
const CREATOR_ID = "VMTS";

/** Bytes of a table's header. */
export const HEADER = 36;
/** Six characters that say who made a table. */
export const OEM = OEM_ID;

export const ascii = (text: string): number[] => [...text].map((char) => char.charCodeAt(0));
export const u16 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff];
export const u32 = (value: number): number[] => [...u16(value), ...u16(value >>> 16)];
export const u64 = (value: number): number[] => [...u32(value), ...u32(Math.floor(value / 2 ** 32))];

/** The byte that makes the sum of all bytes 0 modulo 256. */
export const checksum = (bytes: Uint8Array): number => -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;

/** A table with its header and checksum (ACPI 6.5, 5.2.6). */
export function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER + body.length);
  const oem = [...ascii(OEM_ID), ...ascii(OEM_TABLE_ID), ...u32(1), ...ascii(CREATOR_ID), ...u32(1)];
  bytes.set([...ascii(signature), ...u32(bytes.length), revision, 0, ...oem]);
  bytes.set(body, HEADER);
  bytes[9] = checksum(bytes);
  return bytes;
}
