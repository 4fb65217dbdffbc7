import type { VerifierBtf } from "../verifier/btf-port.js";
import { objectFields } from "../verifier/map-fields.js";
import type { ObjectLayout, ProgramDesc } from "./program.js";
import type { LoadDesc } from "./runtime.js";

/** What a struct of a program's types is made of; null for what is no struct. */
function layoutOf(btf: VerifierBtf, type: number): ObjectLayout | null {
  const shape = btf.shape(type);
  if (shape?.kind !== "struct") return null;
  const fields = objectFields(btf, type);
  const at = (...kinds: readonly string[]): number[] =>
    fields.filter(({ kind }) => kinds.includes(kind)).map(({ offset }) => offset);
  return {
    size: shape.size,
    refcount: at("bpf_refcount")[0] ?? null,
    lists: at("bpf_list_head"),
    trees: at("bpf_rb_root"),
    objects: at("kptr_ref"),
  };
}

/** What loading is told of types, so that calls of the kernel's functions are understood: their names, and the objects that the program makes. */
export function callTypes(
  kernel: VerifierBtf | undefined,
  program: VerifierBtf | undefined,
): Pick<LoadDesc, "kfunc"> & Pick<ProgramDesc, "objectLayout"> {
  const layouts = new Map<number, ObjectLayout | null>();
  const objectLayout = (type: number): ObjectLayout | null => {
    let layout = layouts.get(type);
    if (layout === undefined) {
      layout = program === undefined ? null : layoutOf(program, type);
      layouts.set(type, layout);
    }
    return layout;
  };
  const kfunc = (id: number, module: number): string | undefined => {
    const shape = module === 0 ? kernel?.shape(id) : undefined;
    return shape?.kind === "func" ? shape.name : undefined;
  };
  return { kfunc, objectLayout };
}
