import type { Btf } from "../btf/btf.js";
import { BtfKind } from "../btf/kinds.js";
import { BpfError } from "../errors.js";
import type { BpfObject, ObjectProgram } from "../object/object.js";
import { AttachType, ProgramType } from "../uapi/program-types.js";
import type { AttachTarget } from "../verifier/request.js";

/**
 * What of the kernel a program is attached to, if that decides about it.
 * @param object whose program it is, for those that are members of a struct of functions
 * @throws {BpfError} ENOENT if the kernel has no such thing
 */
export function attachTargetOf(
  { name, type, attach, target }: Pick<ObjectProgram, "name" | "type" | "attach" | "target">,
  kernel: Btf | null,
  object: BpfObject | null,
): AttachTarget | null {
  if (kernel === null) return null;
  if (type === ProgramType.StructOps) return object === null ? null : memberOf(name, kernel, object);
  if (target === null) return null;
  const found = (function_: string, kind: BtfKind): AttachTarget => {
    const id = kernel.find(function_, kind);
    if (id === null) throw new BpfError("ENOENT", `program ${name}: the kernel has no ${function_}`);
    let proto = kernel.target(id);
    if (kernel.kind(proto) === BtfKind.Ptr) proto = kernel.target(proto);
    return { name: kind === BtfKind.Typedef ? target : function_, proto };
  };
  if (type === ProgramType.Lsm) return found(`bpf_lsm_${target}`, BtfKind.Func);
  if (type !== ProgramType.Tracing) return null;
  if (attach === AttachType.TraceRawTp) return found(`btf_trace_${target}`, BtfKind.Typedef);
  return found(attach === AttachType.TraceIter ? `bpf_iter_${target}` : target, BtfKind.Func);
}

/** The member of the kernel's struct of functions that a program is to be, as the struct of the same name in the object says. */
function memberOf(name: string, kernel: Btf, object: BpfObject): AttachTarget | null {
  for (const map of object.maps) {
    const slot = map.slots.find((each) => map.origin === "struct_ops" && each.name === name);
    const local = slot === undefined ? undefined : object.btf?.resolved(map.valueTypeId);
    if (slot === undefined || local?.kind !== BtfKind.Struct) continue;
    // What follows three underscores is a flavour of the object's own.
    const struct = local.name.replace(/___.*$/, "");
    const id = kernel.find(struct, BtfKind.Struct);
    const type = id === null ? null : kernel.type(id);
    const wanted = local.members[slot.index]?.name;
    const member = type?.kind === BtfKind.Struct ? type.members.find((each) => each.name === wanted) : undefined;
    if (member === undefined)
      throw new BpfError("ENOENT", `program ${name}: the kernel's struct ${struct} has no ${wanted ?? "such member"}`);
    const pointer = kernel.resolved(member.type);
    return pointer.kind === BtfKind.Ptr ? { name: member.name, proto: kernel.resolved(pointer.type).id, struct } : null;
  }
  return null;
}
