import { UsageError } from "../errors.js";

/** Significant bits of a linear address, at most: with five levels of page tables. */
const ADDRESS_BITS = 57;

/** A linear address as it was typed: hexadecimal, with 0x or without. @throws {UsageError} */
export function parseAddress(text: string): bigint {
  if (!/^(0x)?[0-9a-f]{1,16}$/i.test(text))
    throw new UsageError(`"${text}" is no address: up to 16 hexadecimal digits, with 0x or without`);
  const address = BigInt(text.toLowerCase().startsWith("0x") ? text : `0x${text}`);
  if (BigInt.asUintN(64, BigInt.asIntN(ADDRESS_BITS, address)) !== address)
    throw new UsageError(`${text} is no address that code can have: it is not canonical`);
  return address;
}
