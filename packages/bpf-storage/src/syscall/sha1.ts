/** The first eight bytes of the SHA-1 digest (FIPS 180-4) of bytes: what the kernel calls a program's tag. */
export function sha1Tag(bytes: Uint8Array): Uint8Array {
  const padded = new Uint8Array(64 * Math.ceil((bytes.length + 9) / 64));
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(padded.length - 4, bytes.length << 3);
  const state = new Uint32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0]);
  const words = new Uint32Array(80);
  for (let at = 0; at < padded.length; at += 64) block(state, words, view, at);
  const digest = new DataView(new ArrayBuffer(8));
  digest.setUint32(0, state[0] as number);
  digest.setUint32(4, state[1] as number);
  return new Uint8Array(digest.buffer);
}

const rotated = (word: number, by: number): number => (word << by) | (word >>> (32 - by));

function block(state: Uint32Array, words: Uint32Array, view: DataView, at: number): void {
  const w = (k: number): number => words[k] as number;
  for (let k = 0; k < 16; k++) words[k] = view.getUint32(at + 4 * k);
  for (let k = 16; k < 80; k++) words[k] = rotated(w(k - 3) ^ w(k - 8) ^ w(k - 14) ^ w(k - 16), 1);
  let [a = 0, b = 0, c = 0, d = 0, e = 0] = state;
  for (let k = 0; k < 80; k++) {
    const [mixed, constant] =
      k < 20
        ? [(b & c) | (~b & d), 0x5a827999]
        : k < 40
          ? [b ^ c ^ d, 0x6ed9eba1]
          : k < 60
            ? [(b & c) | (b & d) | (c & d), 0x8f1bbcdc]
            : [b ^ c ^ d, 0xca62c1d6];
    const next = (rotated(a, 5) + mixed + e + constant + w(k)) | 0;
    [a, b, c, d, e] = [next, a, rotated(b, 30), c, d];
  }
  for (const [k, word] of [a, b, c, d, e].entries()) state[k] = (state[k] as number) + word;
}
