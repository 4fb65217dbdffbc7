import { BpfError } from "../src/errors.js";

/** What becomes of making something: "made", or the code of the error. */
export function outcomeOf(make: () => unknown): string {
  try {
    make();
  } catch (error) {
    if (error instanceof BpfError) return error.code;
    throw error;
  }
  return "made";
}
