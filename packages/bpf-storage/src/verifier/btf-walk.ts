import { ProgramType } from "../uapi/program-types.js";
import type { BtfMember, VerifierBtf } from "./btf-port.js";
import { sizeOfType } from "./btf-size.js";
import type { Env } from "./env.js";
import { fieldName, fieldsOf } from "./fields.js";
import { Mod, pointer, type Reg, unknown } from "./reg.js";
import { isConst, isZero } from "./scalar.js";
import { checkStructWrite } from "./struct-ops.js";
import { tnumText } from "./tnum.js";

/** Loads through pointers to structs of the kernel: which member it is, and how far the pointer that is loaded may be trusted. */

/** What a load of a struct finds. */
export interface Walked {
  /** The struct that a loaded pointer points to; undefined for a number. */
  readonly to: number | undefined;
  /** User, Percpu, Rcu from tags; Untrusted where a union was crossed. */
  readonly mods: number;
  /** The member with the pointer. */
  readonly field: string;
}

/** Pointers that stay good as long as what they were loaded from is trusted (linux kernel/bpf/verifier.c, BTF_TYPE_SAFE_TRUSTED). */
const TRUSTED: Readonly<Record<string, readonly string[]>> = {
  bpf_iter_meta: ["seq"],
  bpf_iter__task: ["meta", "task"],
  linux_binprm: ["file"],
  file: ["f_inode"],
  dentry: ["d_inode"],
};
const TRUSTED_OR_NULL: Readonly<Record<string, readonly string[]>> = { socket: ["sk"] };
/** Pointers that RCU protects (BTF_TYPE_SAFE_RCU). */
const RCU: Readonly<Record<string, readonly string[]>> = {
  task_struct: ["cpus_ptr", "cgroups", "real_parent", "group_leader"],
  cgroup: ["kn"],
  css_set: ["dfl_cgrp"],
};
const RCU_OR_NULL: Readonly<Record<string, readonly string[]>> = {
  mm_struct: ["exe_file"],
  sk_buff: ["sk"],
  request_sock: ["sk"],
};

const TAGS: Readonly<Record<string, number>> = { user: Mod.User, percpu: Mod.Percpu, rcu: Mod.Rcu };

/** The element of an array of arrays. */
const elementOf = (btf: VerifierBtf, id: number): number => {
  const shape = btf.shape(id);
  return shape?.kind === "array" ? elementOf(btf, shape.of) : btf.resolve(id);
};

const NUMBER: Walked = { to: undefined, mods: 0, field: "" };

/** What `size` bytes at `off` of the struct are. Refuses what goes past members or splits a pointer. */
export const walkStruct = (
  env: Env,
  btf: VerifierBtf,
  start: number,
  start0: number,
  size: number,
  untrusted = false,
  isOwn = false,
): Walked => {
  let id = btf.resolve(start);
  let off = start0;
  let mods = untrusted ? Mod.Untrusted : 0;
  for (;;) {
    const shape = btf.shape(id);
    if (shape?.kind !== "struct" && shape?.kind !== "union") return env.fail("EINVAL", `Type '' is not a struct`);
    const members = btf.members(id);
    if (shape.kind === "union" && members.length !== 1) mods |= Mod.Untrusted;
    if (off + size > shape.size) {
      // Objects of the program are as large as their struct.
      const flexible = isOwn ? undefined : flexibleElement(btf, members, off);
      if (flexible === undefined)
        return env.fail("EACCES", `access beyond struct ${shape.name} at off ${off} size ${size}`);
      if (flexible.to === undefined) return NUMBER;
      id = flexible.to;
      off = flexible.off;
      continue;
    }
    const found = memberAt(env, btf, members, shape.name, off, size, mods);
    if (found.kind === "walked") return found.walked;
    id = found.id;
    off = found.off;
  }
};

const flexibleElement = (
  btf: VerifierBtf,
  members: readonly BtfMember[],
  off: number,
): { readonly to: number | undefined; readonly off: number } | undefined => {
  const last = members[members.length - 1];
  const shape = last === undefined ? undefined : btf.shape(last.type);
  if (last === undefined || shape?.kind !== "array" || shape.count !== 0 || off < last.bitOffset / 8) return undefined;
  const element = btf.shape(shape.of);
  if (element?.kind === "int") return { to: undefined, off: 0 };
  if ((element?.kind !== "struct" && element?.kind !== "union") || element.size === 0) return undefined;
  return { to: btf.resolve(shape.of), off: (off - last.bitOffset / 8) % element.size };
};

type Found =
  | { readonly kind: "walked"; readonly walked: Walked }
  | { readonly kind: "struct"; readonly id: number; readonly off: number };

const memberAt = (
  env: Env,
  btf: VerifierBtf,
  members: readonly BtfMember[],
  within: string,
  off: number,
  size: number,
  mods: number,
): Found => {
  for (const member of members) {
    const start = Math.floor(member.bitOffset / 8);
    if (off + size <= start) break;
    if (member.bitSize > 0) {
      const end = Math.ceil((member.bitOffset + member.bitSize) / 8);
      if (off <= start && end <= off + size) return { kind: "walked", walked: NUMBER };
      continue;
    }
    if (off < start) break;
    const end = start + sizeOfType(btf, member.type);
    if (off >= end) continue;
    const element = elementOf(btf, member.type);
    const each = sizeOfType(btf, element) || 1;
    const at = start + Math.floor((off - start) / each) * each;
    const shape = btf.shape(element);
    if (shape?.kind === "struct" || shape?.kind === "union") return { kind: "struct", id: element, off: off - at };
    if (shape?.kind === "pointer") {
      if (size !== 8 || off !== at)
        env.fail(
          "EACCES",
          `cannot access ptr member ${member.name} with moff ${at} in struct ${within} with off ${off} size ${size}`,
        );
      const pointee = btf.shape(shape.to);
      if (pointee?.kind === "struct" || pointee?.kind === "union") {
        const tagged = shape.tags.reduce((bits, tag) => bits | (TAGS[tag] ?? 0), mods);
        return { kind: "walked", walked: { to: btf.resolve(shape.to), mods: tagged, field: member.name } };
      }
    }
    if (off + size > end && (mods & Mod.Untrusted) === 0)
      env.fail(
        "EACCES",
        `access beyond the end of member ${member.name} (mend:${end}) in struct ${within} with off ${off} size ${size}`,
      );
    return { kind: "walked", walked: NUMBER };
  }
  return env.fail("EINVAL", `struct ${within} doesn't have field at offset ${off}`);
};

const nameOf = (reg: Reg): string => {
  const shape = reg.btf?.shape(reg.btfId);
  return shape?.kind === "struct" || shape?.kind === "union" ? shape.name : "";
};

const listed = (table: Readonly<Record<string, readonly string[]>>, from: Reg, { field }: Walked): boolean =>
  table[nameOf(from)]?.includes(field) === true;

/** How far a pointer that is loaded through `from` may be trusted. */
const trustOf = (env: Env, from: Reg, walked: Walked): number => {
  if ((from.mods & Mod.Untrusted) !== 0) return Mod.Untrusted;
  const base = walked.mods;
  const isTrusted = from.ref !== 0 || (from.mods & Mod.Trusted) !== 0;
  const isRcu = (from.mods & Mod.Rcu) !== 0;
  if (!isTrusted && !isRcu) return base & ~(Mod.Trusted | Mod.Rcu);
  if (listed(TRUSTED, from, walked)) return base | Mod.Trusted;
  if (listed(TRUSTED_OR_NULL, from, walked)) return base | Mod.Trusted | Mod.Null;
  if (env.inRcu) {
    if (listed(RCU, from, walked)) return base | Mod.Rcu;
    if (listed(RCU_OR_NULL, from, walked)) return (base | Mod.Rcu | Mod.Null) & ~Mod.Untrusted;
    if ((base & Mod.Rcu) !== 0) return base | Mod.Null;
    return (base & (Mod.Percpu | Mod.User)) !== 0 ? base : base & ~(Mod.Trusted | Mod.Rcu);
  }
  return Mod.Untrusted;
};

/** Objects of the program are read and written beside their locks, nodes and the like. */
const checkOwnObject = (env: Env, reg: Reg, off: number, size: number): void => {
  if ((reg.mods & (Mod.NonOwn | Mod.Rcu)) === 0 && reg.ref === 0)
    env.fail("EFAULT", "verifier internal error: ref_obj_id for allocated object must be non-zero");
  for (const field of fieldsOf(env, reg))
    if (off < field.offset + field.size && field.offset < off + size)
      env.fail("EACCES", `direct access to ${fieldName(field.kind)} is disallowed`);
};

/** A load (or a refused store) through a pointer to a struct of the kernel; gives what the destination then holds. */
export const accessBtf = (env: Env, index: number, off: number, size: number, isWrite: boolean): Reg => {
  const reg = env.reg(index);
  const name = nameOf(reg);
  if (env.request.gpl === false && env.isKernelBtf(reg.btf))
    env.fail("EINVAL", `Cannot access kernel 'struct ${name}' from non-GPL compatible program`);
  if (off < 0) env.fail("EACCES", `R${index} is ptr_${name} invalid negative access: off=${off}`);
  if (!isConst(reg.v) || !isZero(reg.v))
    env.fail("EACCES", `R${index} is ptr_${name} invalid variable offset: off=${off}, var_off=${tnumText(reg.v.bits)}`);
  if ((reg.mods & Mod.User) !== 0) env.fail("EACCES", `R${index} is ptr_${name} access user memory: off=${off}`);
  if ((reg.mods & Mod.Percpu) !== 0) env.fail("EACCES", `R${index} is ptr_${name} access percpu memory: off=${off}`);
  const isOwn = (reg.mods & Mod.Alloc) !== 0;
  if (isWrite && (reg.mods & Mod.Untrusted) !== 0) env.fail("EACCES", "only read is supported");
  if (isWrite && !isOwn) {
    if (env.type !== ProgramType.StructOps) env.fail("EACCES", "only read is supported");
    checkStructWrite(env, reg, off, size);
    return unknown();
  }
  if (isOwn) checkOwnObject(env, reg, off, size);
  const { btf } = reg;
  if (btf === undefined) return env.fail("EFAULT", `R${index} has no type information`);
  const walked = walkStruct(env, btf, reg.btfId, off, size, (reg.mods & Mod.Untrusted) !== 0, isOwn);
  // A pointer that the program keeps in an object of its own comes back as a number.
  if (walked.to === undefined || isOwn) return unknown();
  const mods = trustOf(env, reg, walked);
  return pointer("ptr_", { mods, btf, btfId: walked.to, id: (mods & Mod.Null) !== 0 ? env.newId() : 0 });
};

/**
 * Whether a pointer to `id` at `off` is one to the struct `wanted`: the struct itself, or, at its start (or at `off`), a member of it.
 */
export const isStructAt = (btf: VerifierBtf, id: number, off: number, wanted: number, strict = false): boolean => {
  let at = btf.resolve(id);
  let rest = off;
  const target = btf.resolve(wanted);
  for (let depth = 0; depth < 32; depth++) {
    if (rest === 0 && at === target) return true;
    if (strict) return false;
    const member = btf.members(at).find((each) => {
      const start = each.bitOffset / 8;
      return each.bitSize === 0 && start <= rest && rest < start + sizeOfType(btf, each.type);
    });
    if (member === undefined) return false;
    const element = elementOf(btf, member.type);
    const shape = btf.shape(element);
    if (shape?.kind !== "struct" && shape?.kind !== "union") return false;
    rest = (rest - member.bitOffset / 8) % (shape.size || 1);
    at = element;
  }
  return false;
};
