import { countOf, flagOf, kindOf } from "./index-types.js";
import { BtfKind, TYPE_SIZE } from "./kinds.js";
import type { BtfEnumerator, BtfType } from "./types.js";

/** What a type is decoded from. */
export interface Source {
  readonly view: DataView;
  /** The name at an offset of the string section. */
  string(offset: number): string;
}

/**
 * One type, from its twelve bytes and those that follow.
 * @param at its offset; that all of it is there has been checked
 */
export function decodeType({ view, string }: Source, id: number, at: number): BtfType {
  const word = (k: number): number => view.getUint32(at + TYPE_SIZE + 4 * k, true);
  const info = view.getUint32(at + 4, true);
  const sizeOrType = view.getUint32(at + 8, true);
  const kind = kindOf(info) as BtfKind;
  const count = countOf(info);
  const name = string(view.getUint32(at, true));
  const each = <T>(one: (k: number) => T): T[] => Array.from({ length: count }, (_, k) => one(k));
  switch (kind) {
    case BtfKind.Int: {
      const bits = word(0);
      const encoding = (bits >>> 24) & 15;
      return { id, kind, name, size: sizeOrType, bits: bits & 0xff, bitOffset: (bits >>> 16) & 0xff, encoding };
    }
    case BtfKind.Array:
      return { id, kind, name, type: word(0), indexType: word(1), count: word(2) };
    case BtfKind.Struct:
    case BtfKind.Union: {
      const fields = flagOf(info);
      const members = each((k) => {
        const place = word(3 * k + 2);
        return {
          name: string(word(3 * k)),
          type: word(3 * k + 1),
          bitOffset: fields ? place & 0xffffff : place,
          bitSize: fields ? place >>> 24 : 0,
        };
      });
      return { id, kind, name, size: sizeOrType, members };
    }
    case BtfKind.Enum:
    case BtfKind.Enum64: {
      const signed = flagOf(info);
      const value = (k: number): bigint => {
        if (kind === BtfKind.Enum) return BigInt(signed ? word(2 * k + 1) | 0 : word(2 * k + 1));
        const wide = BigInt(word(3 * k + 1)) | (BigInt(word(3 * k + 2)) << 32n);
        return signed ? BigInt.asIntN(64, wide) : wide;
      };
      const words = kind === BtfKind.Enum ? 2 : 3;
      const values = each((k): BtfEnumerator => ({ name: string(word(words * k)), value: value(k) }));
      return { id, kind, name, size: sizeOrType, signed, values };
    }
    case BtfKind.Fwd:
      return { id, kind, name, union: flagOf(info) };
    case BtfKind.Ptr:
    case BtfKind.Typedef:
    case BtfKind.Volatile:
    case BtfKind.Const:
    case BtfKind.Restrict:
    case BtfKind.TypeTag:
      return { id, kind, name, type: sizeOrType };
    case BtfKind.Func:
      return { id, kind, name, type: sizeOrType, linkage: count };
    case BtfKind.FuncProto:
      return {
        id,
        kind,
        name,
        type: sizeOrType,
        params: each((k) => ({ name: string(word(2 * k)), type: word(2 * k + 1) })),
      };
    case BtfKind.Var:
      return { id, kind, name, type: sizeOrType, linkage: word(0) };
    case BtfKind.Datasec: {
      const variables = each((k) => ({ type: word(3 * k), offset: word(3 * k + 1), size: word(3 * k + 2) }));
      return { id, kind, name, size: sizeOrType, variables };
    }
    case BtfKind.Float:
      return { id, kind, name, size: sizeOrType };
    case BtfKind.DeclTag:
      return { id, kind, name, type: sizeOrType, component: view.getInt32(at + TYPE_SIZE, true) };
    default:
      return { id, kind: -1, number: kind, name, sizeOrType };
  }
}
