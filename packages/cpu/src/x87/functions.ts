import { type Func, i32, type ModuleBuilder, type ValType } from "@vm/wasm";
import { defineArithmetic } from "./arithmetic.js";
import { CALCULATIONS } from "./calculate.js";
import { COMPARISONS, defineRelation } from "./compare.js";
import { CONTROL_WORDS } from "./control.js";
import { MOVES } from "./move.js";
import type { Operation, Shared } from "./operation.js";
import { SCALINGS } from "./scale.js";
import { STORES } from "./store.js";
import { REFUSED, Unit } from "./unit.js";

/**
 * x87 instructions as wasm functions `(cpu, i, host) -> DONE or REFUSED`: `i` is the register the instruction names, `host` the address of its
 * memory operand in host memory. FCOMI and its kin answer the condition codes together with `DONE`. They do the common case: the unit available, all exceptions masked, operands there and ordinary, an ordinary
 * result. Whatever else there is they refuse, having changed nothing: then the instruction is the helper's in TypeScript.
 */
const OPERATIONS: readonly Operation[] = [
  ...MOVES,
  ...STORES,
  ...CALCULATIONS,
  ...SCALINGS,
  ...COMPARISONS,
  ...CONTROL_WORDS,
];

const NUMBERS: ReadonlyMap<string, number> = new Map(OPERATIONS.map(({ key }, index) => [key, index]));

/** Parameters of the functions. */
export const X87_PARAMETERS: readonly ValType[] = ["i32", "i32", "i32"];

/** Keys of the operations, by number; see `Operation`. */
export const X87_OPERATIONS: readonly string[] = OPERATIONS.map(({ key }) => key);

/** Number of an operation, or undefined if there is none: then the instruction is always the helper's. */
export function x87Number(key: string): number | undefined {
  return NUMBERS.get(key);
}

/** Defines the functions, in the order of their numbers. */
export function defineX87(m: ModuleBuilder): readonly Func[] {
  const shared: Shared = { ...defineArithmetic(m), relation: defineRelation(m) };
  return OPERATIONS.map(({ waiting, emit }) => {
    const f = m.function(X87_PARAMETERS, "i32");
    f.scope(() =>
      f.block((refused) => {
        const unit = new Unit(f, refused);
        unit.begin(waiting);
        emit(unit, shared);
        f.return(unit.answer);
      }),
    );
    f.value(i32.const(REFUSED));
    return f;
  });
}
