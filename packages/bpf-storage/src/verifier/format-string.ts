/** Format strings of bpf_snprintf: conversions that the kernel knows, and no more of them than there are arguments. */

const code = (text: string): number => text.charCodeAt(0);
const isSpace = (c: number): boolean => c === 32 || (c >= 9 && c <= 13);
const isPrintable = (c: number): boolean => c >= 32 && c < 127;
const isAlphanumeric = (c: number): boolean =>
  (c >= code("0") && c <= code("9")) || (c >= code("A") && c <= code("Z")) || (c >= code("a") && c <= code("z"));
/** The end of the string, a space or a punctuation mark: what may follow a conversion that could be longer. */
const endsConversion = (c: number): boolean =>
  c === 0 || isSpace(c) || (isPrintable(c) && !isAlphanumeric(c) && c !== 32);

const isOneOf = (c: number, text: string): boolean => c !== 0 && text.includes(String.fromCharCode(c));

/** Bytes of a pointer's conversion after `%p`, or of a string's after `%s`; undefined for what the kernel does not know. */
const pointerLength = (next: number, after: number, last: number): number | undefined => {
  if (endsConversion(next)) return 0;
  if (isOneOf(next, "ku") && after === code("s")) return endsConversion(last) ? 2 : undefined;
  if (isOneOf(next, "KxsSB")) return 1;
  return isOneOf(next, "iI") && isOneOf(after, "46") ? 2 : undefined;
};

/** Where a conversion ends, its last byte; `at` is its first after `%`. Undefined for what the kernel does not know. */
const conversionEnd = (byte: (at: number) => number, at: number): number | undefined => {
  let k = at;
  while (isOneOf(byte(k), "0+- ")) k++;
  if (isOneOf(byte(k), "123456789")) {
    k++;
    while (isOneOf(byte(k), "0123456789")) k++;
  }
  if (byte(k) === code("p")) {
    const length = pointerLength(byte(k + 1), byte(k + 2), byte(k + 3));
    return length === undefined ? undefined : k + length;
  }
  if (byte(k) === code("s")) return endsConversion(byte(k + 1)) ? k : undefined;
  if (byte(k) === code("c")) return k;
  if (byte(k) === code("l")) k++;
  if (byte(k) === code("l")) k++;
  return isOneOf(byte(k), "iduxX") ? k : undefined;
};

/** Whether the kernel prints a string of these bytes, up to a zero byte, with so many arguments. */
export const isFormat = (bytes: Uint8Array, argumentCount: number): boolean => {
  const byte = (at: number): number => bytes[at] ?? 0;
  let count = 0;
  for (let k = 0; byte(k) !== 0; k++) {
    const c = byte(k);
    if (c < 128 && !isPrintable(c) && !isSpace(c)) return false;
    if (c !== code("%")) continue;
    if (byte(k + 1) === code("%")) {
      k++;
      continue;
    }
    if (count >= argumentCount) return false;
    const end = conversionEnd(byte, k + 1);
    if (end === undefined) return false;
    k = end;
    count++;
  }
  return true;
};
