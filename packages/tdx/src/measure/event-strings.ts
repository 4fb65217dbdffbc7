import { bytesToHex } from "@noble/hashes/utils.js";

/** A GUID as UEFI writes it, of its 16 bytes. */
export function guidText(bytes: Uint8Array): string {
  const reversed = (from: number, to: number) => bytesToHex(bytes.slice(from, to).reverse());
  const rest = bytesToHex(bytes.subarray(8));
  return `${reversed(0, 4)}-${reversed(4, 6)}-${reversed(6, 8)}-${rest.slice(0, 4)}-${rest.slice(4)}`;
}

/** Text in UTF-16, little-endian, up to its first zero. What is no character becomes U+FFFD. */
export const utf16 = (bytes: Uint8Array): string => untilZero(new TextDecoder("utf-16le").decode(bytes));

/** Text in UTF-8 up to its first zero. What is no character becomes U+FFFD. */
export const utf8 = (bytes: Uint8Array): string => untilZero(new TextDecoder().decode(bytes));

const untilZero = (text: string): string => text.replace(/\0.*$/s, "");

/** Whether these are printable ASCII characters, with at most one zero behind them. */
export function isText(bytes: Uint8Array): boolean {
  const end = bytes.at(-1) === 0 ? bytes.length - 1 : bytes.length;
  return (
    end > 0 && bytes.subarray(0, end).every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x09)
  );
}
