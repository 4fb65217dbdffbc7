/** A 64-bit value from its halves, unsigned: how observers are told addresses and registers. */
export const u64 = (lo: number, hi: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);

/** The halves of a 64-bit value, signed; what is above 64 bits is cut off. */
export const halvesOf = (value: bigint): [lo: number, hi: number] => [
  Number(BigInt.asIntN(32, value)),
  Number(BigInt.asIntN(32, value >> 32n)),
];
