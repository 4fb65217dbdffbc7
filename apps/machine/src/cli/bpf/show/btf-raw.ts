import { type Btf, BtfKind, type BtfType, IntEncoding, kindName } from "@vm/bpf-storage";
import { type Json, type Members, members } from "./json.js";

const ENCODINGS: Readonly<Record<number, string>> = {
  0: "(none)",
  [IntEncoding.Signed]: "SIGNED",
  [IntEncoding.Char]: "CHAR",
  [IntEncoding.Bool]: "BOOL",
};
const LINKAGES = ["static", "global", "extern"];
const linkage = (number: number): string => LINKAGES[number] ?? "(unknown)";
const named = (name: string): string => (name === "" ? "(anon)" : name);

/** A part of a type: what bpftool calls it, and its value. */
type Part = readonly [name: string, value: string | number | bigint];
/** What a type consists of: its own parts, and of its elements, under a name in JSON, those of each. */
interface Parts {
  readonly own: readonly Part[];
  readonly elements?: { readonly name: string; readonly list: readonly (readonly Part[])[] };
}

function partsOf(type: BtfType): Parts {
  switch (type.kind) {
    case BtfKind.Int:
      return {
        own: [
          ["size", type.size],
          ["bits_offset", type.bitOffset],
          ["nr_bits", type.bits],
          ["encoding", ENCODINGS[type.encoding] ?? "UNKN"],
        ],
      };
    case BtfKind.Ptr:
    case BtfKind.Const:
    case BtfKind.Volatile:
    case BtfKind.Restrict:
    case BtfKind.Typedef:
    case BtfKind.TypeTag:
      return { own: [["type_id", type.type]] };
    case BtfKind.Array:
      return {
        own: [
          ["type_id", type.type],
          ["index_type_id", type.indexType],
          ["nr_elems", type.count],
        ],
      };
    case BtfKind.Struct:
    case BtfKind.Union: {
      const list = type.members.map(({ name, type: of, bitOffset, bitSize }): Part[] => [
        ["name", named(name)],
        ["type_id", of],
        ["bits_offset", bitOffset],
        ...(bitSize === 0 ? [] : [["bitfield_size", bitSize] as const]),
      ]);
      return { own: counted(type.size, list), elements: { name: "members", list } };
    }
    case BtfKind.Enum:
    case BtfKind.Enum64: {
      const list = type.values.map(({ name, value }): Part[] => [
        ["name", named(name)],
        ["val", value],
      ]);
      const encoding = type.signed ? "SIGNED" : "UNSIGNED";
      return { own: [["encoding", encoding], ...counted(type.size, list)], elements: { name: "values", list } };
    }
    case BtfKind.Fwd:
      return { own: [["fwd_kind", type.union ? "union" : "struct"]] };
    case BtfKind.Func:
    case BtfKind.Var:
      return {
        own: [
          ["type_id", type.type],
          ["linkage", linkage(type.linkage)],
        ],
      };
    case BtfKind.FuncProto: {
      const list = type.params.map(({ name, type: of }): Part[] => [
        ["name", named(name)],
        ["type_id", of],
      ]);
      return {
        own: [
          ["ret_type_id", type.type],
          ["vlen", list.length],
        ],
        elements: { name: "params", list },
      };
    }
    case BtfKind.Datasec: {
      const list = type.variables.map(({ type: of, offset, size }): Part[] => [
        ["type_id", of],
        ["offset", offset],
        ["size", size],
      ]);
      return { own: counted(type.size, list), elements: { name: "vars", list } };
    }
    case BtfKind.Float:
      return { own: [["size", type.size]] };
    case BtfKind.DeclTag:
      return {
        own: [
          ["type_id", type.type],
          ["component_idx", type.component],
        ],
      };
    default:
      return { own: [] };
  }
}

const counted = (size: number, list: readonly unknown[]): Part[] => [
  ["size", size],
  ["vlen", list.length],
];

const kindOf = (type: BtfType): string => (type.kind < 0 ? "UNKNOWN" : kindName(type.kind));

/** A type as `bpftool btf dump` has it. */
export function rawText(btf: Btf, id: number): string {
  const type = btf.type(id);
  const { own, elements } = partsOf(type);
  const words = (list: readonly Part[], between = " "): string =>
    list.map(([name, value]) => `${name}=${value}`).join(between);
  const head = `[${id}] ${kindOf(type)} '${named(type.name)}'`;
  const all = own.length === 0 ? head : `${head} ${words(own, type.kind === BtfKind.Var ? ", " : " ")}`;
  const lines = (elements?.list ?? []).map((parts) => {
    const [[first, name], ...rest] = parts as readonly [Part, ...Part[]];
    const suffix = type.kind === BtfKind.Enum64 ? (type.signed ? "LL" : "ULL") : "";
    if (first === "name") return `\n\t'${name}' ${words(rest)}${suffix}`;
    return `\n\t${words(parts)}${variableText(btf, Number(name))}`;
  });
  return `${all}${lines.join("")}\n`;
}

/** What a variable of a section is. */
function variableText(btf: Btf, id: number): string {
  if (id >= btf.count) return "";
  const type = btf.type(id);
  return ` (${kindOf(type)} '${named(type.name)}')`;
}

/** A type as `bpftool -j btf dump` has it. */
export function rawJson(btf: Btf, id: number): Members {
  const type = btf.type(id);
  const { own, elements } = partsOf(type);
  const list: (readonly [string, Json])[] = [["id", id], ["kind", kindOf(type)], ["name", named(type.name)], ...own];
  const widened = (part: Part): Part => (type.kind === BtfKind.Enum && !type.signed ? asUnsigned(part) : part);
  if (elements !== undefined) list.push([elements.name, elements.list.map((parts) => members(...parts.map(widened)))]);
  return members(...list);
}

/** In JSON bpftool has what is above INT_MAX in an enumeration of 32 bits as if it had been a negative number of 64. */
const asUnsigned = ([name, value]: Part): Part =>
  typeof value === "bigint" ? [name, BigInt.asUintN(64, BigInt.asIntN(32, value))] : [name, value];
