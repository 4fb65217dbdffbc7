/** A 64-bit value as the protocol has it, from the halves that the processor has. */
export const halves = (lo: number, hi: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);

/** The halves of a 64-bit value, signed. */
export const split = (value: bigint): [lo: number, hi: number] => [
  Number(value & 0xffffffffn) | 0,
  Number((value >> 32n) & 0xffffffffn) | 0,
];
