import { type Btf, BtfKind } from "@vm/bpf-storage";

/** Types one within another, and characters of what is shown (`func_sig` of bpftool). */
const DEPTH_MOST = 64;
const LENGTH_MOST = 1024;

/** A function as C has it, in the way bpftool writes types: `int sums(u64 * ctx)`. Null for what is no function, or too long. */
export function prototype(btf: Btf, id: number): string | null {
  if (id <= 0 || id >= btf.count) return null;
  const text = typeText(btf, id, 0);
  return text === null || text.length >= LENGTH_MOST ? null : text;
}

function typeText(btf: Btf, id: number, depth: number): string | null {
  if (depth > DEPTH_MOST) return null;
  const type = btf.type(id);
  const inner = (of: number): string | null => typeText(btf, of, depth + 1);
  const around = (before: string, of: number, behind = ""): string | null => {
    const text = inner(of);
    return text === null ? null : `${before}${text}${behind}`;
  };
  switch (type.kind) {
    case BtfKind.Void:
      return "void ";
    case BtfKind.Int:
    case BtfKind.Typedef:
    case BtfKind.Float:
      return `${type.name} `;
    case BtfKind.Struct:
      return `struct ${type.name} `;
    case BtfKind.Union:
      return `union ${type.name} `;
    case BtfKind.Enum:
    case BtfKind.Enum64:
      return `enum ${type.name} `;
    case BtfKind.Array:
      return around("", type.type, `[${type.count}]`);
    case BtfKind.Ptr:
      return around("", type.type, "* ");
    case BtfKind.Fwd:
      return `${type.union ? "union" : "struct"} ${type.name} `;
    case BtfKind.Volatile:
      return around("volatile ", type.type);
    case BtfKind.Const:
      return around("const ", type.type);
    case BtfKind.Restrict:
      return around("restrict ", type.type);
    case BtfKind.FuncProto:
      return functionText(btf, id, "", depth);
    case BtfKind.Func:
      return functionText(btf, type.type, type.name, depth);
    case BtfKind.Var:
      return around(type.linkage === 0 ? "static " : "", type.type, ` ${type.name}`);
    case BtfKind.Datasec:
      return `section ("${type.name}") `;
    default:
      return null;
  }
}

function functionText(btf: Btf, proto: number, name: string, depth: number): string | null {
  const type = btf.type(proto);
  if (type.kind !== BtfKind.FuncProto) return null;
  const result = typeText(btf, type.type, depth + 1);
  if (result === null) return null;
  const params: string[] = [];
  for (const param of type.params) {
    const text = param.type === 0 ? "..." : typeText(btf, param.type, depth + 1);
    if (text === null) return null;
    params.push(param.type === 0 ? text : param.name === "" ? text.replace(/ $/, "") : `${text}${param.name}`);
    if (params.length * 4 > LENGTH_MOST) return null;
  }
  return `${result}${name}(${params.join(", ")})`;
}
