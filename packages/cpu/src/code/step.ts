import { handlerNumber } from "../interp/handlers.js";

/** What a record takes for the fields of an address and displacement. */
export enum Uses {
  Nothing,
  /** The memory operand. */
  Memory,
  /** The 64 bits of the immediate. */
  Immediate,
}

/** A record of an instruction: its handler, and where its fields come from. */
export interface Step {
  readonly handler: number;
  /** Slot of the first register operand; `~k` for that of operand k. */
  readonly dst: number;
  /** The same for the second one. */
  readonly src: number;
  /** Bits of the immediate that it takes. */
  readonly imm: number;
  readonly uses: Uses;
  /** From here on accesses are to the stack. */
  readonly stack: boolean;
}

/** @throws Error if the interpreter has no such handler or step */
export function numberOf(key: string): number {
  const number = handlerNumber(key);
  if (number === undefined) throw new Error(`no interpreter step ${key}`);
  return number;
}

/** A step that takes what is given, and nothing else. */
export const step = (handler: string, fields: Partial<Step> = {}): Step => ({
  handler: numberOf(handler),
  dst: 0,
  src: 0,
  imm: 0,
  uses: Uses.Nothing,
  stack: false,
  ...fields,
});
