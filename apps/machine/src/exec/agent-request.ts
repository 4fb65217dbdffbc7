import { REQUEST_WORDS } from "./agent-abi.js";

/**
 * What a request looks like on the line, where every byte costs the guest two accesses to a port: a byte with the number of words that
 * come, then these, then what follows the request. Words are 32 bits wide and signed; 64 bits if {@link WIDE} is set in the byte. Of
 * the eight that a request has, those that do not come are 0.
 */
export const WIDE = 0x80;

/** A request with what follows it. */
export function request(words: readonly (number | bigint)[], data: Uint8Array = new Uint8Array(0)): Uint8Array {
  if (words.length > REQUEST_WORDS) throw new RangeError(`${words.length} words: a request has ${REQUEST_WORDS}`);
  const isWide = words.some((word) => BigInt.asIntN(32, BigInt(word)) !== BigInt(word));
  const size = isWide ? 8 : 4;
  const bytes = new Uint8Array(1 + size * words.length + data.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = words.length | (isWide ? WIDE : 0);
  words.forEach((word, k) => {
    if (isWide) view.setBigInt64(1 + 8 * k, BigInt(word), true);
    else view.setInt32(1 + 4 * k, Number(word), true);
  });
  bytes.set(data, 1 + size * words.length);
  return bytes;
}

/** The words of what {@link request} made, and what follows it. */
export function parseRequest(bytes: Uint8Array): { readonly words: readonly bigint[]; readonly data: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const head = view.getUint8(0);
  const [count, size] = [head & ~WIDE, (head & WIDE) === 0 ? 4 : 8];
  const word = (at: number): bigint => (size === 8 ? view.getBigInt64(at, true) : BigInt(view.getInt32(at, true)));
  return {
    words: Array.from({ length: REQUEST_WORDS }, (_, k) => (k < count ? word(1 + size * k) : 0n)),
    data: bytes.subarray(1 + size * count),
  };
}
