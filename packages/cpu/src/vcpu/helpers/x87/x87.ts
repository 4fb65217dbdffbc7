import type { Helper } from "../../context/helper.js";
import { X87_ARITHMETIC } from "./x87-arithmetic.js";
import { X87_COMPARISONS } from "./x87-compare.js";
import { X87_CONTROL } from "./x87-control.js";
import { X87_FUNCTIONS } from "./x87-functions.js";
import { X87_MOVES } from "./x87-move.js";

/** The x87 instructions, by mnemonic. */
export const X87_HELPERS: Readonly<Record<string, Helper>> = {
  ...X87_ARITHMETIC,
  ...X87_COMPARISONS,
  ...X87_CONTROL,
  ...X87_FUNCTIONS,
  ...X87_MOVES,
};
