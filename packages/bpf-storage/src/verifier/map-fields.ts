import type { VerifierBtf } from "./btf-port.js";
import type { MapField } from "./request.js";

/** What the type of a map's value says the value holds: locks, timers, pointers to objects of the kernel. */

const SPECIAL: Readonly<Record<string, MapField["kind"]>> = {
  bpf_spin_lock: "bpf_spin_lock",
  bpf_timer: "bpf_timer",
  bpf_wq: "bpf_wq",
  bpf_list_head: "bpf_list_head",
  bpf_rb_root: "bpf_rb_root",
  bpf_refcount: "bpf_refcount",
};

/** Tags of pointers, as linux 6.12 reads them; `kptr_ref` is what 6.1 called `kptr`. */
const TAGS: Readonly<Record<string, MapField["kind"]>> = {
  kptr_untrusted: "kptr_unref",
  kptr: "kptr_ref",
  kptr_ref: "kptr_ref",
  percpu_kptr: "kptr_percpu",
};

/** Structs within structs that are followed. */
const MOST_DEPTH = 8;

/**
 * Fields of a value by rising offset. Pointers lead to structs of `kernel` by name; where that has none of the name, to the map's own types.
 */
export const mapFields = (btf: VerifierBtf, type: number, kernel?: VerifierBtf): MapField[] => {
  const fields: MapField[] = [];
  const visit = (id: number, offset: number, depth: number): void => {
    const shape = btf.shape(id);
    if (shape?.kind === "array") {
      const element = btf.shape(shape.of);
      const size = element?.kind === "struct" ? element.size : element?.kind === "pointer" ? 8 : 0;
      if (size > 0 && shape.count <= 64)
        for (let k = 0; k < shape.count; k++) visit(shape.of, offset + k * size, depth);
      return;
    }
    if (shape?.kind === "pointer") {
      const kind = shape.tags.map((tag) => TAGS[tag]).find((each) => each !== undefined);
      const pointee = btf.shape(shape.to);
      if (kind === undefined || pointee?.kind !== "struct") return;
      const known = kernel?.structByName(pointee.name);
      const target =
        kernel !== undefined && known !== undefined ? { btf: kernel, id: known } : { btf, id: btf.resolve(shape.to) };
      fields.push({ kind, offset, size: 8, target });
      return;
    }
    if (shape?.kind !== "struct") return;
    const special = SPECIAL[shape.name];
    if (special !== undefined) fields.push({ kind: special, offset, size: shape.size });
    else if (depth < MOST_DEPTH)
      for (const member of btf.members(id)) visit(member.type, offset + member.bitOffset / 8, depth + 1);
  };
  visit(type, 0, 0);
  return fields.sort((a, b) => a.offset - b.offset);
};
