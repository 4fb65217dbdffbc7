/** Value types (core spec 5.3.1). */
export type ValType = "i32" | "i64" | "f32" | "f64" | "v128";

/** Binary code of each value type. */
export const VAL_TYPE: Readonly<Record<ValType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/** Key of the phantom type; never present at run time. */
export declare const TYPE: unique symbol;

/** What the builder hands out for an expression of type `T`; `T` exists in the type system only. */
export interface Expr<T extends ValType> {
  readonly [TYPE]?: T;
}

/** A local variable of a function. It is itself the expression that reads it. */
export interface Local<T extends ValType> extends Expr<T> {
  readonly index: number;
  readonly type: T;
}

/** A function of the module: imported or defined. */
export interface Func {
  readonly index: number;
  readonly params: readonly ValType[];
  readonly result: ValType | null;
}

/** A function type, for `call_indirect`. */
export interface FuncType {
  readonly index: number;
  readonly params: readonly ValType[];
  readonly result: ValType | null;
}

/** A structured-control target; valid only inside the construct that created it. */
export interface Label {
  readonly depth: number;
}

/** What has no encoding. */
export type WasmBuildErrorCode =
  /** Imports come before definitions of their kind. */
  | "import-order"
  /** A shared memory without a maximum. */
  | "shared-memory"
  /** A parameter that the function does not have. */
  | "parameter"
  /** A temporary from before a loop is assigned more bits in it than it could have had. */
  | "loop"
  /** A temporary local outside of a scope, or a label outside of its block. */
  | "scope";

/** A construct was used in a way that has no encoding. */
export class WasmBuildError extends Error {
  override readonly name = "WasmBuildError";

  constructor(
    readonly code: WasmBuildErrorCode,
    message: string,
  ) {
    super(message);
  }
}
