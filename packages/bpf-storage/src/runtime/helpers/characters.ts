/** Kinds of characters as the kernel has them: of Latin-1, by their code (lib/ctype.c). */

export const isSpace = (code: number): boolean => (code >= 9 && code <= 13) || code === 32 || code === 0xa0;

const between = (code: number, first: number, last: number): boolean => code >= first && code <= last;

export const isDigit = (code: number): boolean => between(code, 0x30, 0x39);

export const isPunctuation = (code: number): boolean =>
  between(code, 0x21, 0x2f) ||
  between(code, 0x3a, 0x40) ||
  between(code, 0x5b, 0x60) ||
  between(code, 0x7b, 0x7e) ||
  between(code, 0xa1, 0xbf) ||
  code === 0xd7 ||
  code === 0xf7;

/** Whether it is below 128, and neither printed nor space. */
export const isControl = (code: number): boolean => code === 0x7f || (code < 32 && !isSpace(code));

/** Value of a digit of bases up to 16; 16 for what is none. */
export function digitValue(code: number): number {
  if (isDigit(code)) return code - 0x30;
  const letter = code | 0x20;
  return between(letter, 0x61, 0x66) ? letter - 0x61 + 10 : 16;
}
