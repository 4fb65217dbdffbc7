import type { BtfKind } from "./kinds.js";

/** What every type has. */
interface Named<K extends number> {
  /** Number of the type. */
  readonly id: number;
  readonly kind: K;
  /** Empty if it has none. */
  readonly name: string;
}

/** A member of a structure or union. */
export interface BtfMember {
  /** Empty for an anonymous structure or union. */
  readonly name: string;
  readonly type: number;
  /** Bits from the start of the structure. */
  readonly bitOffset: number;
  /** Bits of a bit field, 1 to 255; 0: it is none. */
  readonly bitSize: number;
}

/** A parameter of a function. Without name and with type 0 at the end: the function takes more (`...`). */
export interface BtfParam {
  readonly name: string;
  readonly type: number;
}

/** One name of an enumeration. */
export interface BtfEnumerator {
  readonly name: string;
  /** Signed if the enumeration is, else not. */
  readonly value: bigint;
}

/** A variable in a section. */
export interface BtfSectionVariable {
  /** Number of the VAR; in `.ksyms` of a FUNC too. */
  readonly type: number;
  /** Bytes from the start of the section. Compilers leave 0 for variables that are not in the object. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

export interface BtfInt extends Named<typeof BtfKind.Int> {
  /** Bytes. */
  readonly size: number;
  /** Bits that are used, and the first of them. */
  readonly bits: number;
  readonly bitOffset: number;
  /** Bits of `IntEncoding`. */
  readonly encoding: number;
}

export interface BtfArray extends Named<typeof BtfKind.Array> {
  readonly type: number;
  readonly indexType: number;
  /** Elements; 0 for a flexible array. */
  readonly count: number;
}

export interface BtfComposite extends Named<typeof BtfKind.Struct | typeof BtfKind.Union> {
  /** Bytes. */
  readonly size: number;
  readonly members: readonly BtfMember[];
}

export interface BtfEnum extends Named<typeof BtfKind.Enum | typeof BtfKind.Enum64> {
  /** Bytes: 1, 2, 4 or 8. */
  readonly size: number;
  readonly signed: boolean;
  readonly values: readonly BtfEnumerator[];
}

export interface BtfFwd extends Named<typeof BtfKind.Fwd> {
  /** Of a union rather than a structure. */
  readonly union: boolean;
}

/** A type that is another in some way: pointers, typedefs, qualifiers, tags of types. */
export interface BtfReference
  extends Named<
    | typeof BtfKind.Ptr
    | typeof BtfKind.Typedef
    | typeof BtfKind.Volatile
    | typeof BtfKind.Const
    | typeof BtfKind.Restrict
    | typeof BtfKind.TypeTag
  > {
  readonly type: number;
}

export interface BtfFunc extends Named<typeof BtfKind.Func> {
  /** Number of its FUNC_PROTO. */
  readonly type: number;
  /** `FuncLinkage`. */
  readonly linkage: number;
}

export interface BtfFuncProto extends Named<typeof BtfKind.FuncProto> {
  /** What it returns; 0: nothing. */
  readonly type: number;
  readonly params: readonly BtfParam[];
}

export interface BtfVar extends Named<typeof BtfKind.Var> {
  readonly type: number;
  /** `VarLinkage`. */
  readonly linkage: number;
}

export interface BtfDatasec extends Named<typeof BtfKind.Datasec> {
  /** Bytes. Compilers leave 0. */
  readonly size: number;
  readonly variables: readonly BtfSectionVariable[];
}

export interface BtfFloat extends Named<typeof BtfKind.Float> {
  /** Bytes. */
  readonly size: number;
}

export interface BtfDeclTag extends Named<typeof BtfKind.DeclTag> {
  /** What is tagged. */
  readonly type: number;
  /** Member or parameter of it; -1: itself. */
  readonly component: number;
}

export type BtfVoid = Named<typeof BtfKind.Void>;

/** A type of a kind that is newer than this reader. */
export interface BtfUnknown extends Named<-1> {
  /** What the bytes say its kind is. */
  readonly number: number;
  readonly sizeOrType: number;
}

/** A type, decoded. */
export type BtfType =
  | BtfVoid
  | BtfInt
  | BtfReference
  | BtfArray
  | BtfComposite
  | BtfEnum
  | BtfFwd
  | BtfFunc
  | BtfFuncProto
  | BtfVar
  | BtfDatasec
  | BtfFloat
  | BtfDeclTag
  | BtfUnknown;
