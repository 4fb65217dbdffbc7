import type { HostArguments } from "../../engine/helpers.js";
import type { HelperContext } from "../helpers/types.js";
import type { RuntimeHost } from "../host.js";

/** A function of the kernel that programs call by its name in the kernel's types, and what it does. */
export interface KfuncEntry {
  readonly name: string;
  /** Part of the host without which it does nothing: programs are refused where that is not there. */
  readonly needs?: keyof RuntimeHost;
  /** @returns the result, if it is a number of 32 bits, such as a negative errno: the upper half is clear; undefined if the arguments have been told */
  readonly call: (args: HostArguments, context: HelperContext) => number | undefined;
}
