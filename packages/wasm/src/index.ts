export { Bytes } from "./bytes.js";
export { FunctionBuilder, type StoreOp } from "./function.js";
export { type Limits, ModuleBuilder } from "./module.js";
export { f32, f32x4, f64, f64x2, i8x16, i16x8, i32, i32x4, i64, i64x2, select, v128 } from "./ops.js";
export { type Content, type Graph, type Structure, structure, type Ways, writeStructure } from "./structure.js";
export {
  type Expr,
  type Func,
  type FuncType,
  type Label,
  type Local,
  type ValType,
  WasmBuildError,
  type WasmBuildErrorCode,
} from "./types.js";
