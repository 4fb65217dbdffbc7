import { kindName } from "../../btf/kinds.js";
import { coreKindName, isEnumKind, isFieldKind } from "./kinds.js";
import { describeSpec, isEnum, type Spec } from "./spec.js";

/** What a relocation is about, as libbpf's logs and its notes in the verifier's log have it. */
export function logText(spec: Spec, access: string): string {
  const { btf, kind, root, accessors, bitOffset } = spec;
  const head = `<${coreKindName(kind)}> [${root}] ${kindName(btf.kind(root)).toLowerCase()} ${btf.name(root) || "<anon>"}`;
  if (isEnumKind(kind)) {
    const type = btf.type(accessors[0]?.type ?? 0);
    const value = isEnum(type) ? type.values[accessors[0]?.index ?? 0] : undefined;
    return `${head}::${value?.name} = ${value?.value}`;
  }
  if (!isFieldKind(kind)) return head;
  const steps = describeSpec(spec).slice(describeSpec({ ...spec, accessors: [] }).length);
  const [bytes, bits] = [Math.floor(bitOffset / 8), bitOffset % 8];
  return `${head}${steps} (${access} @ offset ${bytes}${bits === 0 ? "" : `.${bits}`})`;
}
