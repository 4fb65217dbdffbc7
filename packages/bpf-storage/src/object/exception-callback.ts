import { BtfKind } from "../btf/kinds.js";
import { ObjectError, reading } from "./errors.js";
import type { CodeFunction } from "./functions.js";
import type { BpfObject, ObjectProgram } from "./object.js";

/** What the declaration of a program is tagged with, before the name of the function. */
const TAG = "exception_callback:";
/** Linkage of a function that is not static. */
const GLOBAL = 1;

/**
 * The function that exceptions of a program end in, which nothing calls: its declaration names it by a tag. Null where it names none, or
 * more than one, which is for the verifier to refuse (libbpf.c: bpf_prog_assign_exc_cb).
 * @throws {ObjectError} program for a tag that names no global function, or is not on a program; btf
 */
export function exceptionCallback({ btf, parts }: BpfObject, { name }: ObjectProgram): CodeFunction | null {
  if (btf === null) return null;
  const named: string[] = [];
  reading(name, () => {
    for (let id = btf.firstId; id < btf.count; id++) {
      const tag = btf.kind(id) === BtfKind.DeclTag ? btf.type(id) : undefined;
      if (tag?.kind !== BtfKind.DeclTag || tag.component !== -1 || !tag.name.startsWith(TAG)) continue;
      const on = btf.type(tag.type);
      if (on.kind !== BtfKind.Func || on.linkage !== GLOBAL)
        throw new ObjectError("program", `${name}: the tag ${tag.name} is not on the declaration of a program`);
      if (on.name === name) named.push(tag.name.slice(TAG.length));
    }
  });
  const [callback] = named;
  if (callback === undefined || named.length > 1) return null;
  const found = [...parts.subprograms.values()].find((each) => each.name === callback);
  if (found === undefined)
    throw new ObjectError("program", `${name}: no function ${callback || "without a name"} for exceptions`);
  if (!found.global)
    throw new ObjectError(
      "program",
      `${name}: ${callback} is static or hidden: functions for exceptions have to be global`,
    );
  return found;
}
