import type { Btf } from "./btf.js";
import { BtfKind, kindName } from "./kinds.js";

/** Types that are named in one text; what is beyond is `...`. */
const MOST = 64;

/**
 * A type as C would write it: `struct task_struct *`, `char[16]`, `int (*)(void *, ...)`.
 * @param name of something of that type, for a declaration
 * @returns never throws: types that are missing are told as `type 7`
 */
export function describeType(btf: Btf, id: number, name = ""): string {
  const budget = { left: MOST };
  return declare(btf, id, name, budget).trimEnd();
}

/** Words that are joined by a space, but not in front of what belongs to them. */
const join = (type: string, rest: string): string =>
  rest === "" ? type : /^[[]/.test(rest) ? type + rest : `${type} ${rest}`;

function declare(btf: Btf, id: number, inner: string, budget: { left: number }): string {
  if (budget.left-- <= 0) return join("...", inner);
  if (id >= btf.count || id < 0) return join(`type ${id}`, inner);
  const type = btf.type(id);
  switch (type.kind) {
    case BtfKind.Void:
      return join("void", inner);
    case BtfKind.Ptr: {
      const pointee = type.type < btf.count ? btf.kind(type.type) : BtfKind.Void;
      const grouped = pointee === BtfKind.Array || pointee === BtfKind.FuncProto;
      return declare(btf, type.type, grouped ? `(*${inner})` : `*${inner}`, budget);
    }
    case BtfKind.Array:
      return declare(btf, type.type, `${inner}[${type.count === 0 ? "" : type.count}]`, budget);
    case BtfKind.FuncProto: {
      const params: string[] = [];
      for (const [k, param] of type.params.entries()) {
        if (budget.left <= 0) {
          params.push("...");
          break;
        }
        const variadic = param.type === 0 && param.name === "" && k === type.params.length - 1;
        params.push(variadic ? "..." : declare(btf, param.type, param.name, budget));
      }
      return declare(btf, type.type, `${inner}(${params.join(", ") || "void"})`, budget);
    }
    case BtfKind.Const:
    case BtfKind.Volatile:
    case BtfKind.Restrict:
      return qualified(btf, type.type, kindName(type.kind).toLowerCase(), inner, budget);
    case BtfKind.TypeTag:
      return qualified(btf, type.type, `__attribute__((btf_type_tag("${type.name}")))`, inner, budget);
    case BtfKind.Struct:
    case BtfKind.Union:
    case BtfKind.Enum:
    case BtfKind.Enum64: {
      const word = type.kind === BtfKind.Enum64 ? "enum" : kindName(type.kind).toLowerCase();
      return join(`${word} ${type.name || "(anonymous)"}`, inner);
    }
    case BtfKind.Fwd:
      return join(`${type.union ? "union" : "struct"} ${type.name}`, inner);
    case BtfKind.Func:
    case BtfKind.Var:
      return declare(btf, type.type, type.name, budget);
    case BtfKind.DeclTag:
      return declare(btf, type.type, inner, budget);
    default:
      return join(type.name || `type ${id}`, inner);
  }
}

/** A qualifier stands in front of what it qualifies, and behind the star of a pointer. */
function qualified(btf: Btf, target: number, word: string, inner: string, budget: { left: number }): string {
  const pointer = target < btf.count && btf.kind(target) === BtfKind.Ptr;
  if (pointer) return declare(btf, target, join(` ${word}`, inner), budget);
  return `${word} ${declare(btf, target, inner, budget)}`;
}
