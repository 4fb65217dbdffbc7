import type { Btf } from "./btf.js";
import { Kind, LINKS } from "./btf-format.js";

/** What a value is, as far as it matters to whoever shows it. */
export type ValueType =
  | { readonly kind: "void" }
  /** `size` bytes, up to 8 of them in a register. */
  | { readonly kind: "int"; readonly size: number; readonly signed: boolean; readonly bool: boolean }
  | { readonly kind: "enum"; readonly size: number; readonly signed: boolean; nameOf(value: bigint): string | null }
  /** `text`: to characters of the type `char`; `constant`: that the function only reads. */
  | { readonly kind: "pointer"; readonly text: boolean; readonly constant: boolean }
  /** A structure, union, array or anything else that is no number. */
  | { readonly kind: "aggregate"; readonly size: number };

/** A parameter by its name, which may be empty. */
export interface Parameter {
  readonly name: string;
  readonly type: ValueType;
}

/** What a function of the kernel takes and gives. */
export interface Prototype {
  readonly parameters: readonly Parameter[];
  /** It takes more. */
  readonly variadic: boolean;
  readonly result: ValueType;
}

/** Parameters that are told; no function of Linux has as many. */
const PARAMETERS_MOST = 16;
/** Values of an enumeration that are looked at. */
const VALUES_MOST = 4096;
/** Encoding bits of an INT. */
const SIGNED = 1;
const BOOL = 4;

/** The prototype of a kernel function by its name; null if the type information has none. @throws {BtfError} */
export function prototype(types: Btf, name: string): Prototype | null {
  const id = types.prototypeOf(name);
  if (id === null) return null;
  const { kind, count, sizeOrType } = types.type(id);
  if (kind !== Kind.FuncProto) return null;
  const parameters: Parameter[] = [];
  let variadic = false;
  for (let k = 0; k < Math.min(count, PARAMETERS_MOST); k++) {
    const type = types.word(id, 2 * k + 1);
    if (type === 0) variadic = true;
    else parameters.push({ name: types.stringAt(id, 2 * k), type: valueType(types, type) });
  }
  return { parameters, variadic: variadic || count > PARAMETERS_MOST, result: valueType(types, sizeOrType) };
}

function valueType(types: Btf, declared: number): ValueType {
  const id = types.resolve(declared);
  const { kind, flag, sizeOrType } = types.type(id);
  switch (kind) {
    case Kind.Void:
      return { kind: "void" };
    case Kind.Int: {
      const encoding = types.word(id, 0) >>> 24;
      return { kind: "int", size: sizeOrType, signed: (encoding & SIGNED) !== 0, bool: (encoding & BOOL) !== 0 };
    }
    case Kind.Enum:
    case Kind.Enum64:
      return { kind: "enum", size: sizeOrType, signed: flag, nameOf: (value) => valueName(types, id, value) };
    case Kind.Ptr: {
      const target = types.type(types.resolve(sizeOrType));
      const text = target.kind === Kind.Int && target.name === "char" && target.sizeOrType === 1;
      return { kind: "pointer", text, constant: isConstant(types, sizeOrType) };
    }
    case Kind.Array:
    case Kind.Struct:
    case Kind.Union:
    case Kind.Float:
      return { kind: "aggregate", size: kind === Kind.Array ? 0 : sizeOrType };
    default:
      return { kind: "void" };
  }
}

/** Whether a CONST is on the way to what a type means. */
function isConstant(types: Btf, declared: number): boolean {
  const end = types.resolve(declared);
  for (let id = declared; id !== end; ) {
    const { kind, sizeOrType } = types.type(id);
    if (kind === Kind.Const) return true;
    if (!LINKS.has(kind)) return false;
    id = sizeOrType;
  }
  return false;
}

/** The name of an enumeration's value; null if it has none. */
function valueName(types: Btf, id: number, value: bigint): string | null {
  const { kind, count } = types.type(id);
  const words = kind === Kind.Enum64 ? 3 : 2;
  for (let k = 0; k < Math.min(count, VALUES_MOST); k++) {
    const low = BigInt(types.word(id, words * k + 1));
    const whole = words === 3 ? low | (BigInt(types.word(id, words * k + 2)) << 32n) : low;
    if (BigInt.asUintN(words === 3 ? 64 : 32, value) === whole) return types.stringAt(id, words * k);
  }
  return null;
}
