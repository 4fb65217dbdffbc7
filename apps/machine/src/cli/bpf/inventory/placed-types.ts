import { type BpfObject, BTF_LAYOUT, BTF_TYPE_SIZE, Btf, BtfKind } from "@vm/bpf-storage";

/** Offsets in bytes within a section's variable (`struct btf_var_secinfo`), and where a type has its size. */
const [VARIABLE_OFFSET, VARIABLE_BYTES, SIZE] = [4, 12, 8];
const STATIC = 0;

/**
 * The types of an object as they are loaded: compilers leave 0 for the sizes of sections and for where variables are in them, which the loader puts in
 * (libbpf, `btf_fixup_datasec`). The same if nothing is to be put in.
 */
export function placedTypes({ btf, parts: { elf } }: BpfObject): Btf | null {
  if (btf === null) return null;
  // A copy, which slice() of a Buffer is not.
  const bytes = new Uint8Array(btf.bytes);
  const view = new DataView(bytes.buffer);
  let changed = false;
  for (const { id, at } of placesOf(btf, view)) {
    const type = btf.type(id);
    if (type.kind !== BtfKind.Datasec || type.size !== 0 || (type.variables[0]?.offset ?? 0) !== 0) continue;
    const section = elf.sections.find(({ name }) => name === type.name);
    if (section === undefined || section.size === 0) continue;
    const symbols = new Map((elf.bySection.get(section.index) ?? []).map(({ name, value }) => [name, value]));
    view.setUint32(at + SIZE, section.size, true);
    const variables = type.variables.map(({ type: of, offset, size }) => {
      const variable = btf.type(of);
      const isStatic = variable.kind === BtfKind.Var && variable.linkage === STATIC;
      return { of, size, offset: isStatic ? offset : (symbols.get(variable.name) ?? offset) };
    });
    variables.sort((a, b) => a.offset - b.offset);
    for (const [k, { of, offset, size }] of variables.entries()) {
      const place = at + BTF_TYPE_SIZE + VARIABLE_BYTES * k;
      view.setUint32(place, of, true);
      view.setUint32(place + VARIABLE_OFFSET, offset, true);
      view.setUint32(place + 2 * VARIABLE_OFFSET, size, true);
    }
    changed = true;
  }
  return changed ? new Btf(bytes) : btf;
}

/** Where types begin; as far as they are of kinds whose size is known. */
function* placesOf(btf: Btf, view: DataView): Generator<{ readonly id: number; readonly at: number }> {
  let at = view.getUint32(4, true) + view.getUint32(8, true);
  for (let id = 1; id < btf.count; id++) {
    yield { id, at };
    const layout = BTF_LAYOUT[btf.kind(id)];
    if (layout === undefined) return;
    at += BTF_TYPE_SIZE + layout[0] + layout[1] * btf.elements(id);
  }
}
