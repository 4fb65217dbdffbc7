import { bytesToHex } from "@noble/hashes/utils.js";
import type { ReasonCode } from "../../src/verify/reasons.js";
import { Forge, type Made } from "./forge.js";

/** One planted fault: its name, the codes of all reasons that it has to lead to, and how it is made. */
export type Alteration = readonly [
  name: string,
  codes: ReasonCode | readonly ReasonCode[],
  change: (forge: Forge) => void,
];

/** A fault in the bytes of the quote, after everything is signed. */
export const inQuote =
  (change: (quote: Uint8Array) => Uint8Array | undefined) =>
  (forge: Forge): void => {
    forge.after = (made) => {
      made.quote = change(made.quote) ?? made.quote;
    };
  };

/** Other bytes at an offset of the quote. */
export const patched = (offset: number, ...bytes: number[]) => inQuote((quote) => void quote.set(bytes, offset));

/** One bit less or more at an offset of the quote. */
export const flipped = (offset: number, bit = 0) =>
  inQuote((quote) => {
    quote[offset] = (quote[offset] ?? 0) ^ (1 << bit);
    return undefined;
  });

/** A fault in the collateral, after everything is signed. */
export const inCollateral = (change: (collateral: Made["collateral"]) => void) => (forge: Forge) => {
  forge.after = ({ collateral }) => change(collateral);
};

/** What a fault makes of a quote and its collateral. */
export function alter([, , change]: Alteration): Made {
  const forge = new Forge();
  change(forge);
  return forge.build();
}

export const hex = bytesToHex;
