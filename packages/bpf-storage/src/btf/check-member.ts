import type { RawBtf, RawType } from "./check-raw.js";
import { BtfKind } from "./kinds.js";

const roundUp = (bits: number): number => Math.ceil(bits / 8);

/** A member of a structure, and what its type is in the end. */
export interface CheckedMember {
  readonly struct: RawType;
  /** The word of its place: bits, and with `kind_flag` of the structure the bits of the field above them. */
  readonly place: number;
  readonly type: RawType;
  /** Bytes of an array. */
  readonly size: number;
}

/** Whether an INT is a plain one of 1, 2, 4, 8 or 16 bytes, from its first bit on. */
export function isRegularInt(btf: RawBtf, type: RawType): boolean {
  const data = btf.word(type, 0);
  return [8, 16, 32, 64, 128].includes(data & 0xff) && ((data >>> 16) & 0xff) === 0;
}

/** What is wrong with a member: the kernel's phrase, or null (`*_check_member` and `*_check_kflag_member`). */
export function checkMember(btf: RawBtf, member: CheckedMember): string | null {
  const { struct, place, type } = member;
  const fieldBits = struct.flag ? place >>> 24 : 0;
  const offset = struct.flag ? place & 0xffffff : place;
  switch (type.kind) {
    case BtfKind.Int:
      return struct.flag ? checkField(btf, member, offset, fieldBits) : checkInt(btf, member);
    case BtfKind.Enum:
    case BtfKind.Enum64:
      if (!struct.flag) return fits(struct, offset, type.word);
      if (fieldBits === 0 && offset % 8 !== 0) return "Member is not byte aligned";
      if (fieldBits > 32) return "Invalid member bitfield_size";
      return struct.word < roundUp(offset + (fieldBits || 32)) ? "Member exceeds struct_size" : null;
    case BtfKind.Ptr:
      return fieldBits > 0 ? "Invalid member bitfield_size" : fits(struct, offset, 8);
    case BtfKind.Array:
      return fieldBits > 0 ? "Invalid member bitfield_size" : fits(struct, offset, member.size);
    case BtfKind.Struct:
    case BtfKind.Union:
      return fieldBits > 0 ? "Invalid member bitfield_size" : fits(struct, offset, type.word);
    case BtfKind.Float:
      if (fieldBits > 0) return "Invalid member bitfield_size";
      if (offset % (8 * Math.min(8, type.word)) !== 0) return "Member is not properly aligned";
      return offset / 8 + type.word > struct.word ? "Member exceeds struct_size" : null;
    default:
      return "Unsupported check_member";
  }
}

function fits(struct: RawType, offset: number, size: number): string | null {
  if (offset % 8 !== 0) return "Member is not byte aligned";
  return struct.word - offset / 8 < size ? "Member exceeds struct_size" : null;
}

/** An INT with an offset of its own, as old compilers made bit fields. */
function checkInt(btf: RawBtf, { struct, place, type }: CheckedMember): string | null {
  const data = btf.word(type, 0);
  const offset = place + ((data >>> 16) & 0xff);
  if (offset > 0xffffffff) return "bits_offset exceeds U32_MAX";
  return copies(struct, offset, data & 0xff);
}

function checkField(btf: RawBtf, { struct, type }: CheckedMember, offset: number, bits: number): string | null {
  if (!isRegularInt(btf, type)) return "Invalid member base type";
  if (bits === 0 && offset % 8 !== 0) return "Invalid member offset";
  const whole = btf.word(type, 0) & 0xff;
  if (bits > whole) return "Invalid member bitfield_size";
  return copies(struct, offset, bits || whole);
}

function copies(struct: RawType, offset: number, bits: number): string | null {
  const all = bits + (offset % 8);
  if (all > 128) return "nr_copy_bits exceeds 128";
  const start = Math.floor(offset / 8);
  return struct.word < start || struct.word - start < roundUp(all) ? "Member exceeds struct_size" : null;
}
