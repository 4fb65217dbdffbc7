import type { Btf } from "../btf/btf.js";
import { BtfKind, FuncLinkage, IntEncoding } from "../btf/kinds.js";
import type { BtfMember, BtfParam, BtfShape, VerifierBtf } from "./btf-port.js";

/** Type tags between a pointer and what it points to. */
const tagsOf = (btf: Btf, id: number): string[] => {
  const tags: string[] = [];
  for (let at = id; ; ) {
    const type = btf.type(at);
    switch (type.kind) {
      case BtfKind.TypeTag:
        tags.push(type.name);
        at = type.type;
        continue;
      case BtfKind.Const:
      case BtfKind.Volatile:
      case BtfKind.Restrict:
      case BtfKind.Typedef:
        at = type.type;
        continue;
      default:
        return tags;
    }
  }
};

const shapeOf = (btf: Btf, id: number): BtfShape => {
  const type = btf.type(btf.resolve(id));
  switch (type.kind) {
    case BtfKind.Void:
      return { kind: "void" };
    case BtfKind.Int:
      return { kind: "int", size: type.size, signed: (type.encoding & IntEncoding.Signed) !== 0 };
    case BtfKind.Enum:
    case BtfKind.Enum64:
      return { kind: "enum", size: type.size };
    case BtfKind.Ptr:
      return { kind: "pointer", to: type.type, tags: tagsOf(btf, type.type) };
    case BtfKind.Struct:
      return { kind: "struct", name: type.name, size: type.size };
    case BtfKind.Union:
      return { kind: "union", name: type.name, size: type.size };
    case BtfKind.Array:
      return { kind: "array", of: type.type, count: type.count };
    case BtfKind.Func: {
      const linkage =
        type.linkage === FuncLinkage.Static ? "static" : type.linkage === FuncLinkage.Global ? "global" : "extern";
      return { kind: "func", name: type.name, proto: type.type, linkage };
    }
    case BtfKind.FuncProto:
      return { kind: "proto" };
    default:
      return { kind: "other" };
  }
};

/** Tags of declarations, by what is tagged and which of its parameters or members. */
const declaredTags = (btf: Btf): Map<string, string[]> => {
  const out = new Map<string, string[]>();
  for (let id = btf.firstId; id < btf.count; id++) {
    if (btf.kind(id) !== BtfKind.DeclTag) continue;
    const type = btf.type(id);
    if (type.kind !== BtfKind.DeclTag) continue;
    const key = `${type.type}:${type.component}`;
    out.set(key, [...(out.get(key) ?? []), type.name]);
  }
  return out;
};

/** Variables of which every CPU has its own: those in the section of that name. */
const perCpuVariables = (btf: Btf): ReadonlySet<number> => {
  const id = btf.find(".data..percpu", BtfKind.Datasec);
  const section = id === null ? undefined : btf.type(id);
  return new Set(section?.kind === BtfKind.Datasec ? section.variables.map(({ type }) => type) : []);
};

/** Type information as the verifier asks for it. One object for one blob: pointers to its structs are compared by it. */
export const verifierBtf = (btf: Btf): VerifierBtf => {
  const shapes = new Map<number, BtfShape>();
  let declared: Map<string, string[]> | undefined;
  const tags = (): ReadonlyMap<string, readonly string[]> => {
    declared ??= declaredTags(btf);
    return declared;
  };
  let ofEachCpu: ReadonlySet<number> | undefined;
  const perCpu = (): ReadonlySet<number> => {
    ofEachCpu ??= perCpuVariables(btf);
    return ofEachCpu;
  };
  const proto = (id: number) => {
    const type = btf.type(id);
    return type.kind === BtfKind.FuncProto ? type : undefined;
  };
  return {
    shape(id: number): BtfShape | undefined {
      if (id < 0 || id >= btf.count) return undefined;
      let shape = shapes.get(id);
      if (shape === undefined) {
        shape = shapeOf(btf, id);
        shapes.set(id, shape);
      }
      return shape;
    },
    resolve: (id: number): number => btf.resolve(id),
    members(id: number): readonly BtfMember[] {
      const type = btf.type(btf.resolve(id));
      return type.kind === BtfKind.Struct || type.kind === BtfKind.Union ? type.members : [];
    },
    params: (id: number): readonly BtfParam[] => proto(id)?.params ?? [],
    returns: (id: number): number => proto(id)?.type ?? 0,
    parameterTags: (func: number, index: number): readonly string[] => tags().get(`${func}:${index}`) ?? [],
    variable(id: number): { readonly type: number; readonly perCpu: boolean } | undefined {
      if (id <= 0 || id >= btf.count) return undefined;
      const type = btf.type(id);
      return type.kind === BtfKind.Var ? { type: type.type, perCpu: perCpu().has(id) } : undefined;
    },
    variables(id: number): readonly { readonly id: number; readonly type: number; readonly name: string }[] {
      const type = btf.type(id);
      if (type.kind !== BtfKind.Datasec) return [];
      return type.variables.map((each) => ({
        ...{ id: each.type, type: btf.target(each.type), name: btf.name(each.type) },
      }));
    },
    functionByName: (name: string): number | undefined => btf.find(name, BtfKind.Func) ?? undefined,
    structByName: (name: string): number | undefined => btf.find(name, BtfKind.Struct) ?? undefined,
  };
};
