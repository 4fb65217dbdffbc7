import { u64 } from "../bytes/struct.js";
import { guidText, utf16 } from "./event-strings.js";

/** An UEFI variable as events have it. Source: TCG PC Client Platform Firmware Profile, UEFI_VARIABLE_DATA. */
export interface MeasuredVariable {
  readonly vendor: string;
  readonly name: string;
  readonly content: Uint8Array;
}

/** Bytes before the name. */
const HEAD = 32;

/** The variable in an event's data, or null where there is none that fits. */
export function measuredVariable(data: Uint8Array): MeasuredVariable | null {
  if (data.length < HEAD) return null;
  const characters = u64.read(data, 16);
  const size = u64.read(data, 24);
  const nameEnd = BigInt(HEAD) + 2n * characters;
  if (nameEnd + size > data.length) return null;
  const start = Number(nameEnd);
  return {
    vendor: guidText(data.subarray(0, 16)),
    name: utf16(data.subarray(HEAD, start)),
    content: data.subarray(start, start + Number(size)),
  };
}
