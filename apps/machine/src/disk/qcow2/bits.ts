/** Big-endian numbers of an image. Offsets are JavaScript numbers: what lies beyond 2^53 is reported as Infinity. */

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** An unsigned 64-bit number, Infinity beyond 2^53. */
export function u64(view: DataView, at: number): number {
  const value = view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
  return Number.isSafeInteger(value) ? value : Number.POSITIVE_INFINITY;
}

/** The bytes of an unsigned 64-bit number below 2^53, with `flags` set in its upper word. */
export function u64Bytes(value: number, flags = 0): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = viewOf(bytes);
  view.setUint32(0, (Math.floor(value / 2 ** 32) | flags) >>> 0);
  view.setUint32(4, value % 2 ** 32);
  return bytes;
}
