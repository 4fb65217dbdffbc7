/** Condition codes of Jcc, SETcc and CMOVcc with every spelling (SDM vol. 1, appendix B). */
export const CONDITIONS = {
  o: 0,
  no: 1,
  b: 2,
  c: 2,
  nae: 2,
  ae: 3,
  nb: 3,
  nc: 3,
  e: 4,
  z: 4,
  ne: 5,
  nz: 5,
  be: 6,
  na: 6,
  a: 7,
  nbe: 7,
  s: 8,
  ns: 9,
  p: 10,
  pe: 10,
  np: 11,
  po: 11,
  l: 12,
  nge: 12,
  ge: 13,
  nl: 13,
  le: 14,
  ng: 14,
  g: 15,
  nle: 15,
} as const;

/** A condition suffix such as "nz" or "ae". */
export type Condition = keyof typeof CONDITIONS;

/** Lines of one mnemonic per condition; `$c` in a line stands for the low hex digit of the opcode. */
export function perCondition<P extends string>(
  prefix: P,
  ...lines: string[]
): Record<`${P}${Condition}`, readonly string[]> {
  const entries = Object.entries(CONDITIONS).map(([suffix, code]) => [
    `${prefix}${suffix}`,
    lines.map((line) => line.replace("$c", code.toString(16).toUpperCase())),
  ]);
  return Object.fromEntries(entries) as Record<`${P}${Condition}`, readonly string[]>;
}
