/** Whether bytes, a multiple of four from such an offset on, are all zeros. */
export function isZero({ buffer, byteOffset, length }: Uint8Array): boolean {
  const words = new Uint32Array(buffer, byteOffset, length / 4);
  for (let k = 0; k < words.length; k++) if (words[k] !== 0) return false;
  return true;
}
