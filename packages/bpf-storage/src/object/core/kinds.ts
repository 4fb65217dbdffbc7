/** What a relocation of CO-RE asks for (`enum bpf_core_relo_kind`, linux/bpf.h). */
export const CoreKind = {
  FieldByteOffset: 0,
  FieldByteSize: 1,
  FieldExists: 2,
  FieldSigned: 3,
  FieldLshiftU64: 4,
  FieldRshiftU64: 5,
  TypeIdLocal: 6,
  TypeIdTarget: 7,
  TypeExists: 8,
  TypeSize: 9,
  EnumvalExists: 10,
  EnumvalValue: 11,
  TypeMatches: 12,
} as const;
export type CoreKind = (typeof CoreKind)[keyof typeof CoreKind];

/** Names of the kinds in libbpf's logs, by number. */
const NAMES = [
  ...["byte_off", "byte_sz", "field_exists", "signed", "lshift_u64", "rshift_u64", "local_type_id", "target_type_id"],
  ...["type_exists", "type_size", "enumval_exists", "enumval_value", "type_matches"],
];

/** What a kind is called, one that is not known too. */
export const coreKindName = (kind: number): string => NAMES[kind] ?? `kind ${kind}`;

export const isCoreKind = (kind: number): kind is CoreKind => kind >= 0 && kind < NAMES.length;

/** Of a member of a structure. */
export const isFieldKind = (kind: CoreKind): boolean => kind <= CoreKind.FieldRshiftU64;

/** Of a name of an enumeration. */
export const isEnumKind = (kind: CoreKind): boolean =>
  kind === CoreKind.EnumvalExists || kind === CoreKind.EnumvalValue;

/** Of a type as a whole. */
export const isTypeKind = (kind: CoreKind): boolean => !isFieldKind(kind) && !isEnumKind(kind);
