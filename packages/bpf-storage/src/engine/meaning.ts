import { type AccessFunctions, atomic, load, type Mode, store } from "./access.js";
import { arithmetic, unary } from "./arithmetic.js";
import type { Machine } from "./machine.js";
import type { Operation } from "./operation.js";

/** Operations after which the next instruction follows, and which are the same wherever they are. */
export type Straight = Extract<Operation, { kind: "arithmetic" | "unary" | "load" | "store" | "atomic" }>;

export const isStraight = (operation: Operation): operation is Straight =>
  operation.kind === "arithmetic" ||
  operation.kind === "unary" ||
  operation.kind === "load" ||
  operation.kind === "store" ||
  operation.kind === "atomic";

/** Writes what an operation does. */
export function perform(m: Machine, functions: AccessFunctions, mode: Mode, operation: Straight): void {
  switch (operation.kind) {
    case "arithmetic":
      arithmetic(m, operation.op, operation.wide, operation.immediate);
      break;
    case "unary":
      unary(m, operation.op, operation.wide);
      break;
    case "load":
      load(m, functions, mode, operation);
      break;
    case "store":
      store(m, functions, mode, operation);
      break;
    case "atomic":
      atomic(m, functions, mode, operation);
  }
}
