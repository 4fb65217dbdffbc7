/** The 8 bytes of element `index` of a byte string, little-endian; zero beyond its end. */
export function quadword(bytes: Uint8Array, index: number): bigint {
  let value = 0n;
  for (let i = 7; i >= 0; i--) value = (value << 8n) | BigInt(bytes[8 * index + i] ?? 0);
  return value;
}
