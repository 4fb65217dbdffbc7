/** Kinds of types (`BTF_KIND_*`, linux/btf.h). */
export const BtfKind = {
  Void: 0,
  Int: 1,
  Ptr: 2,
  Array: 3,
  Struct: 4,
  Union: 5,
  Enum: 6,
  Fwd: 7,
  Typedef: 8,
  Volatile: 9,
  Const: 10,
  Restrict: 11,
  Func: 12,
  FuncProto: 13,
  Var: 14,
  Datasec: 15,
  Float: 16,
  DeclTag: 17,
  TypeTag: 18,
  Enum64: 19,
} as const;
export type BtfKind = (typeof BtfKind)[keyof typeof BtfKind];

/** The newest kind whose meaning is known here. */
export const NEWEST_KIND = BtfKind.Enum64;

/** What a kind is called in messages and by bpftool, by its number. */
const KIND_NAMES: readonly string[] = [
  ...["VOID", "INT", "PTR", "ARRAY", "STRUCT", "UNION", "ENUM", "FWD", "TYPEDEF", "VOLATILE", "CONST", "RESTRICT"],
  ...["FUNC", "FUNC_PROTO", "VAR", "DATASEC", "FLOAT", "DECL_TAG", "TYPE_TAG", "ENUM64"],
];

/** The name of a kind, of one that is not known too. */
export const kindName = (kind: number): string => KIND_NAMES[kind] ?? `kind ${kind}`;

/** Bytes that follow a type's own twelve, once and for each of its elements, by kind. */
export const LAYOUT: readonly (readonly [once: number, each: number])[] = [
  ...([
    [0, 0] /* VOID */,
    [4, 0] /* INT */,
    [0, 0] /* PTR */,
    [12, 0] /* ARRAY */,
    [0, 12] /* STRUCT */,
  ] as const),
  ...([
    [0, 12] /* UNION */,
    [0, 8] /* ENUM */,
    [0, 0] /* FWD */,
    [0, 0] /* TYPEDEF */,
    [0, 0] /* VOLATILE */,
  ] as const),
  ...([
    [0, 0] /* CONST */,
    [0, 0] /* RESTRICT */,
    [0, 0] /* FUNC */,
    [0, 8] /* FUNC_PROTO */,
    [4, 0] /* VAR */,
  ] as const),
  ...([
    [0, 12] /* DATASEC */,
    [0, 0] /* FLOAT */,
    [4, 0] /* DECL_TAG */,
    [0, 0] /* TYPE_TAG */,
    [0, 12],
  ] as const),
];

/** Bytes of a type without what follows it. */
export const TYPE_SIZE = 12;

/** Bits of an INT's encoding. */
export const IntEncoding = { Signed: 1, Char: 2, Bool: 4 } as const;

/** Linkage of a FUNC. */
export const FuncLinkage = { Static: 0, Global: 1, Extern: 2 } as const;

/** Linkage of a VAR. */
export const VarLinkage = { Static: 0, Global: 1, Extern: 2 } as const;

/** Typedefs, qualifiers and tags: a type of their own name or meaning, but of another type's layout. */
export const isModifier = (kind: number): boolean =>
  (kind >= BtfKind.Typedef && kind <= BtfKind.Restrict) || kind === BtfKind.TypeTag;
