import { OUTSIDE } from "../../sem/outside.js";
import { AES } from "./aes.js";
import { CONVERSIONS } from "./convert.js";
import { FLOAT } from "./float.js";
import { MISCELLANEOUS } from "./miscellaneous.js";
import type { Operands, OutsideOperation } from "./operands.js";
import { SHA } from "./sha.js";
import { STRINGS } from "./strings.js";

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
