/** A byte that is no UTF-8 becomes this and the byte: half of a surrogate pair, which no UTF-8 is. */
const NO_UTF8 = 0xdc00;
/** Length of a sequence by the five high bits of its first byte; 0: it cannot be one. */
const LENGTHS = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 3, 3, 4, 0];

/**
 * Text that a guest's programs have made, of any bytes. UTF-8 is read as such; each byte that is none becomes U+DC80 to U+DCFF, as Python's
 * `surrogateescape` does, so that nothing is lost and nothing taken for something else.
 */
export function decodeText(bytes: Uint8Array): string {
  const parts: string[] = [];
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let good = 0;
  let at = 0;
  const flush = (): void => {
    if (at > good) parts.push(decoder.decode(bytes.subarray(good, at)));
  };
  while (at < bytes.length) {
    const length = sequenceAt(bytes, at);
    if (length > 0) {
      at += length;
      continue;
    }
    flush();
    parts.push(String.fromCharCode(NO_UTF8 + (bytes[at] as number)));
    at++;
    good = at;
  }
  flush();
  return parts.join("");
}

/** Length of the well-formed sequence at `at`, 0 if there is none (Unicode, table 3-7). */
function sequenceAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  const length = LENGTHS[first >>> 3] ?? 0;
  if (length < 2) return length;
  const second = bytes[at + 1] ?? 0;
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (first < 0xc2 || first > 0xf4 || second < least || second > most) return 0;
  for (let k = 2; k < length; k++) if (((bytes[at + k] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
}
