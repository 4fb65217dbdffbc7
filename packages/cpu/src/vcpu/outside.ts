import { OUTSIDE } from "../sem/outside.js";
import { AES } from "./outside/aes.js";
import { CONVERSIONS } from "./outside/convert.js";
import { FLOAT } from "./outside/float.js";
import { MISCELLANEOUS } from "./outside/miscellaneous.js";
import type { Operands, OutsideOperation } from "./outside/operands.js";
import { SHA } from "./outside/sha.js";
import { STRINGS } from "./outside/strings.js";

const FAMILIES: Readonly<Record<string, OutsideOperation>> = {
  ...FLOAT,
  ...CONVERSIONS,
  ...AES,
  ...SHA,
  ...STRINGS,
  ...MISCELLANEOUS,
};

/** Implementations in the order of `OUTSIDE`. */
const OPERATIONS: readonly OutsideOperation[] = OUTSIDE.map((name) => {
  const operation = FAMILIES[name];
  if (operation === undefined) throw new RangeError(`operation ${name} has no implementation`);
  return operation;
});

/** Executes operation number `op` on the operands of `record`. @returns false with an exception pending */
export function executeOutside(operands: Operands, op: number, record: number): boolean {
  operands.aim(record);
  return (OPERATIONS[op] as OutsideOperation)(operands);
}
