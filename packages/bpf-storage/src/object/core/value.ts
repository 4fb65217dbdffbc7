import { BtfKind, IntEncoding } from "../../btf/kinds.js";
import { sizeOf } from "../../btf/size.js";
import type { BtfMember, BtfType } from "../../btf/types.js";
import { ObjectError } from "../errors.js";
import { CoreKind, coreKindName, isEnumKind, isFieldKind } from "./kinds.js";
import { describeSpec, isEnum, type Spec } from "./spec.js";

/** What an instruction gets, or should have had. */
export interface CoreValue {
  /** 64 bits, unsigned. */
  readonly value: bigint;
  /** Of a field that is loaded or stored: its bytes and type; null if its size does not matter. */
  readonly field: { readonly size: number; readonly type: BtfType } | null;
  /** Compilers agree about it: what the instruction has is compared. */
  readonly certain: boolean;
  /** Of an enumeration of 32 bits, whose sign type information of before 2022 does not tell. */
  readonly narrow: boolean;
}

const plain = (value: number | bigint, certain = true): CoreValue => ({
  value: BigInt.asUintN(64, BigInt(value)),
  field: null,
  certain,
  narrow: false,
});

/** Bytes that one instruction loads at most. */
const WORD = 8;

/**
 * The value of a relocation, of the object's own types or of the kernel's.
 * @param spec null: there is no such thing
 * @returns null: without it the instruction makes no sense
 * @throws {ObjectError} core; {BpfError} for types without size
 */
export function coreValue(kind: CoreKind, spec: Spec | null): CoreValue | null {
  if (kind === CoreKind.FieldExists || kind === CoreKind.EnumvalExists) return plain(spec === null ? 0 : 1);
  if (isFieldKind(kind)) return spec === null ? null : fieldValue(kind, spec);
  if (isEnumKind(kind)) return spec === null ? null : enumValue(spec);
  if (spec === null) return plain(0);
  switch (kind) {
    case CoreKind.TypeSize:
      return plain(sizeOf(spec.btf, spec.root));
    case CoreKind.TypeIdTarget:
    case CoreKind.TypeIdLocal:
      // Linking objects may have given the type another number.
      return plain(spec.root, false);
    default:
      return plain(1);
  }
}

/** Values of 32 bits are taken as signed, as libbpf does; what the instruction has may say otherwise. */
function enumValue({ btf, accessors }: Spec): CoreValue {
  const [accessor] = accessors;
  const type = btf.type(accessor?.type ?? 0);
  const value = isEnum(type) ? (type.values[accessor?.index ?? 0]?.value ?? 0n) : 0n;
  return type.kind === BtfKind.Enum ? { ...plain(BigInt.asIntN(32, value)), narrow: true } : plain(value);
}

function fieldValue(kind: CoreKind, spec: Spec): CoreValue {
  const { btf, accessors, bitOffset } = spec;
  const last = accessors.at(-1);
  if (last === undefined || last.name === null) return elementValue(kind, spec, last?.type ?? 0);
  const struct = btf.type(last.type);
  const member = "members" in struct ? struct.members[last.index] : undefined;
  if (member === undefined) throw new ObjectError("core", `${describeSpec(spec)} is no member`);
  const type = btf.resolved(member.type);
  if (kind === CoreKind.FieldSigned) return plain(isSigned(type) ? 1 : 0);
  const bitfield = member.bitSize > 0;
  const { offset, size, bits } = bitfield
    ? storage(spec, member, type)
    : { offset: bitOffset >>> 3, size: sizeOf(btf, type.id), bits: 8 * sizeOf(btf, type.id) };
  switch (kind) {
    case CoreKind.FieldByteOffset:
      return { ...plain(offset, !bitfield), field: bitfield ? null : { size, type } };
    case CoreKind.FieldByteSize:
      return plain(size, !bitfield);
    case CoreKind.FieldLshiftU64:
      return plain(64 - (bitOffset + bits - 8 * offset), !bitfield);
    default:
      return plain(64 - bits);
  }
}

/** `a[3]` and the object itself have an offset and a size only. */
function elementValue(kind: CoreKind, spec: Spec, element: number): CoreValue {
  const size = sizeOf(spec.btf, element);
  if (kind === CoreKind.FieldByteSize) return plain(size);
  if (kind !== CoreKind.FieldByteOffset)
    throw new ObjectError("core", `${coreKindName(kind)} of ${describeSpec(spec)}: an element of an array has none`);
  return { ...plain(spec.bitOffset >>> 3), field: { size, type: spec.btf.resolved(element) } };
}

/** The smallest aligned word that has all of a bit field. */
function storage(
  spec: Spec,
  { bitSize: bits }: BtfMember,
  type: BtfType,
): { offset: number; size: number; bits: number } {
  const { bitOffset } = spec;
  let size = "size" in type ? type.size : 0;
  const whole = (): number => Math.floor(bitOffset / 8 / size) * size;
  if (size === 0) throw new ObjectError("core", `${describeSpec(spec)}: a bit field of a type without size`);
  while (bitOffset + bits > 8 * (whole() + size)) {
    if (size >= WORD)
      throw new ObjectError("core", `${describeSpec(spec)}: a bit field that no load of ${WORD} bytes has whole`);
    size *= 2;
  }
  return { offset: whole(), size, bits };
}

const isSigned = (type: BtfType): boolean =>
  isEnum(type) ? type.signed : type.kind === BtfKind.Int && (type.encoding & IntEncoding.Signed) !== 0;

/**
 * Whether a field can be loaded by more or fewer bytes than the instruction says: pointers, and integers without sign,
 * which keep their value with zeros in front.
 */
export function sizeMayChange(from: BtfType, to: BtfType): boolean {
  if (from.kind === BtfKind.Ptr && to.kind === BtfKind.Ptr) return true;
  const unsigned = (type: BtfType): boolean => type.kind === BtfKind.Int && type.encoding !== IntEncoding.Signed;
  return unsigned(from) && unsigned(to);
}
