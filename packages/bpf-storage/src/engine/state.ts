import { type Expr, type FunctionBuilder, i32, i64, type ModuleBuilder } from "@vm/wasm";
import { type Area, State } from "./layout.js";

/** The engine's memory and its state block, from within WebAssembly. */

export type StateField = Exclude<keyof typeof State, "windows">;

/** Reads and writes the fields of the state block of `area`. */
export class StateAccess {
  constructor(readonly area: Area) {}

  get32(field: StateField): Expr<"i32"> {
    return i32.load(i32.const(this.area.state), State[field]);
  }

  get64(field: StateField): Expr<"i64"> {
    return i64.load(i32.const(this.area.state), State[field]);
  }

  set32(f: FunctionBuilder, field: StateField, value: Expr<"i32">): void {
    f.store("i32.store", i32.const(this.area.state), value, State[field]);
  }

  set64(f: FunctionBuilder, field: StateField, value: Expr<"i64">): void {
    f.store("i64.store", i32.const(this.area.state), value, State[field]);
  }
}

/** Module name of everything that the engine's modules import. */
export const IMPORTS = "engine";

/** Imports the memory as `memory`. */
export const importMemory = (m: ModuleBuilder, shared: boolean): void =>
  m.importMemory(IMPORTS, "memory", shared ? { min: 1, max: 65536 } : { min: 1 }, shared);

/**
 * Imports the engine's table of functions as `table`; gives its index. Programs do without it: each entry of a table is written to all of the
 * instances that know the table.
 */
export const importTable = (m: ModuleBuilder): number => m.importTable(IMPORTS, "table", { min: 1 });

/** Name by which a program's module exports a function. */
export const exportName = (subprogram: number): string => `f${subprogram}`;

/** Parameters of a program's functions: r1 to r5 and the frame pointer. */
export const FUNCTION_PARAMS = ["i64", "i64", "i64", "i64", "i64", "i32"] as const;
/** Parameters of helpers. */
export const HELPER_PARAMS = ["i64", "i64", "i64", "i64", "i64"] as const;
