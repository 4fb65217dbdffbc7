/** First place of `needle` in `bytes` at or behind `from`; -1 if there is none. */
export function find(bytes: Uint8Array, needle: Uint8Array, from = 0): number {
  const first = needle[0] ?? 0;
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (at + needle.length > bytes.length) return -1;
    let k = 1;
    while (k < needle.length && bytes[at + k] === needle[k]) k++;
    if (k === needle.length) return at;
  }
  return -1;
}

/** The ASCII string at `at`, up to its NUL. */
export function cString(bytes: Uint8Array, at: number, most = 4096): string {
  let text = "";
  for (let k = at; k < at + most; k++) {
    const byte = bytes[k] ?? 0;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

export const alignUp = (value: number, to: number): number => Math.ceil(value / to) * to;
