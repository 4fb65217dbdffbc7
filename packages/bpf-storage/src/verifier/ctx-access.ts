import { AttachType, ProgramType } from "../uapi/program-types.js";
import type { VerifierBtf } from "./btf-port.js";
import { CONTEXTS, type Field } from "./ctx-fields.js";
import type { Env } from "./env.js";
import { UNTRUSTED_HOOKS } from "./lsm-hooks.js";
import { type Kind, Mod } from "./reg.js";
import { argumentStruct, isNullableArgument } from "./struct-ops.js";

/** What a load from the context gives. */
export interface CtxValue {
  readonly kind: Kind;
  readonly mods: number;
  readonly btf?: VerifierBtf;
  readonly btfId?: number;
  /** The result of the hook of an LSM program: known to be in the range that hooks return. */
  readonly isReturn?: boolean;
}

const NUMBER: CtxValue = { kind: "scalar", mods: 0 };

/** Bytes of struct pt_regs on x86-64. */
const PT_REGS = 168;
/** PERF_MAX_TRACE_SIZE. */
const TRACE_RECORD = 8192;
/** Arguments that a function without type information has for its programs, each of 8 bytes. */
const RAW_ARGUMENTS = 12 * 8;
/** Bytes that a syscall program's context may have (U16_MAX). */
export const SYSCALL_CONTEXT = 0xffff;

const sizeFits = (field: Field, off: number, size: number): boolean => {
  switch (field.load) {
    case "none":
      return false;
    case "any":
      return off + size <= field.at + field.length;
    case "narrow":
      return size <= 4 && size >= (field.least ?? 1);
    case "first":
      return size <= 4 && off % 4 === 0;
    case "narrow8":
      // Two words at once, where they are aligned to 8 bytes.
      return size <= 4 || (off % 8 === 0 && off + size <= field.at + field.length);
    default:
      return field.load.includes(size);
  }
};

/** Whether a table allows the access, and what a load then gives. */
export const lookupField = (
  fields: readonly Field[],
  off: number,
  size: number,
  isWrite: boolean,
  isSignExtending: boolean,
  attach: number,
): CtxValue | undefined => {
  const field = fields.find(({ at, length }) => off >= at && off < at + length);
  if (field === undefined || off % size !== 0) return undefined;
  if (field.attach !== undefined && !field.attach.includes(attach)) return undefined;
  if (isWrite) {
    if (field.storeAttach !== undefined && !field.storeAttach.includes(attach)) return undefined;
    if (field.store === undefined) return undefined;
    if (field.store === "any") return off + size <= field.at + field.length ? NUMBER : undefined;
    if (field.load === "narrow8" && !sizeFits(field, off, size)) return undefined;
    return field.store.includes(size) ? NUMBER : undefined;
  }
  if (!sizeFits(field, off, size)) return undefined;
  if (field.gives === undefined || field.gives === "scalar") return NUMBER;
  if (isSignExtending) return undefined;
  return { kind: field.gives, mods: field.nullable === true ? Mod.Null : 0 };
};

/** Keys and values that iterators show: buffers whose size is that of the map the program is attached to. By argument. */
const ITERATOR_BUFFERS: Readonly<Record<string, Readonly<Record<number, number>>>> = {
  bpf_iter_bpf_map_elem: { 2: Mod.Rdonly, 3: 0 },
  bpf_iter_bpf_sk_storage_map: { 3: 0 },
  bpf_iter_sockmap: { 2: Mod.Rdonly },
};

/** Arguments of a function or tracepoint as its types in the kernel say; of programs that are attached to one. */
const typedArgument = (env: Env, off: number, size: number): CtxValue | undefined => {
  const { attachTo: target, kernelBtf: btf } = env.request;
  if (target === undefined || btf === undefined) return undefined;
  const { name } = target;
  if (off % 8 !== 0) {
    env.say(`func '${name}' offset ${off} is not multiple of 8`);
    return undefined;
  }
  const isRawTp = env.attachType === AttachType.TraceRawTp;
  const params = isRawTp ? btf.params(target.proto).slice(1) : btf.params(target.proto);
  const index = off / 8;
  let type: number;
  let isReturn = false;
  if (index < params.length) type = params[index]?.type ?? 0;
  else if (
    index === params.length &&
    (env.attachType === AttachType.LsmMac || env.attachType === AttachType.TraceFexit)
  ) {
    type = btf.returns(target.proto);
    isReturn = env.attachType === AttachType.LsmMac;
  } else if (index === params.length && env.attachType === AttachType.ModifyReturn) type = btf.returns(target.proto);
  else {
    env.say(`func '${name}' doesn't have ${index + 1}-th argument`);
    return undefined;
  }
  const shape = btf.shape(type);
  const scalar: CtxValue = { kind: "scalar", mods: 0, ...(isReturn ? { isReturn } : {}) };
  if (shape === undefined) return undefined;
  if (shape.kind === "int" || shape.kind === "enum" || shape.kind === "struct" || shape.kind === "union") return scalar;
  if (shape.kind !== "pointer") {
    const typeText = shape.kind === "void" ? "UNKN" : shape.kind.toUpperCase();
    env.say(
      `func '${name}' arg${index} '${params[index]?.name ?? ""}' has type ${typeText}. Only pointer access is allowed`,
    );
    return undefined;
  }
  if (size !== 8) {
    env.say(`func '${name}' size ${size} must be 8`);
    return undefined;
  }
  const buffer = env.isIterator ? ITERATOR_BUFFERS[name]?.[index] : undefined;
  if (buffer !== undefined) return { kind: "buf", mods: buffer | Mod.Null };
  const pointee = btf.shape(shape.to);
  if (pointee === undefined || pointee.kind === "void" || pointee.kind === "int") return scalar;
  if (pointee.kind !== "struct" && pointee.kind !== "union") {
    env.say(`func '${name}' arg${index} type ${pointee.kind.toUpperCase()} is not a struct`);
    return undefined;
  }
  let mods = shape.tags.includes("user") ? Mod.User : 0;
  if (shape.tags.includes("percpu")) mods |= Mod.Percpu;
  const isStructOps = env.type === ProgramType.StructOps;
  const trusted =
    isRawTp || isStructOps || env.isIterator || (env.type === ProgramType.Lsm && !UNTRUSTED_HOOKS.has(name));
  if (trusted) mods |= Mod.Trusted;
  if (params[index]?.name.endsWith("__nullable") === true) mods |= Mod.Null;
  // What an iterator shows may be NULL at its end; all but its meta data, and the map whose elements it shows.
  const isOfMap = ITERATOR_BUFFERS[name] !== undefined && index === 1;
  if (env.isIterator && index > 0 && !isOfMap) mods |= Mod.Null;
  if (isStructOps && isNullableArgument(env, index)) mods |= Mod.Null;
  const btfId = btf.resolve(shape.to);
  env.say(`func '${name}' arg${index} has btf_id ${btfId} type ${pointee.kind.toUpperCase()} '${pointee.name}'`);
  return { kind: "ptr_", mods, btf, btfId: isStructOps ? argumentStruct(env, btf, btfId) : btfId };
};

/** Fields of struct bpf_nf_ctx, by offset: pointers to structs of the kernel. */
const NETFILTER_FIELDS: Readonly<Record<number, string>> = { 0: "nf_hook_state", 8: "sk_buff" };

const netfilterField = (env: Env, off: number): CtxValue | undefined => {
  const { kernelBtf: btf } = env.request;
  const btfId = btf?.structByName(NETFILTER_FIELDS[off] ?? "");
  return btf === undefined || btfId === undefined ? undefined : { kind: "ptr_", mods: Mod.Trusted, btf, btfId };
};

/** Whether a program may load or store `size` bytes at `off` of its context, and what a load gives; nothing where it may not. */
export const ctxAccess = (
  env: Env,
  off: number,
  size: number,
  isWrite: boolean,
  isSignExtending: boolean,
): CtxValue | undefined => {
  const fields = CONTEXTS.get(env.type);
  if (fields !== undefined) {
    // The stack of a perf event's registers is loaded by unaligned words as well.
    return lookupField(fields, off, size, isWrite, isSignExtending, env.attachType);
  }
  const inside = (from: number, to: number): boolean => off >= from && off + size <= to && off % size === 0;
  switch (env.type) {
    case ProgramType.Kprobe:
      return !isWrite && inside(0, PT_REGS) ? NUMBER : undefined;
    case ProgramType.Tracepoint:
      return !isWrite && inside(8, TRACE_RECORD) ? NUMBER : undefined;
    case ProgramType.RawTracepoint:
      return !isWrite && inside(0, RAW_ARGUMENTS) ? NUMBER : undefined;
    case ProgramType.RawTracepointWritable:
      if (off === 0) return size === 8 && !isWrite ? { kind: "tp_buffer", mods: 0 } : undefined;
      return !isWrite && inside(0, RAW_ARGUMENTS) ? NUMBER : undefined;
    case ProgramType.Syscall:
      return inside(0, SYSCALL_CONTEXT) ? NUMBER : undefined;
    case ProgramType.Netfilter:
      return isWrite || size !== 8 ? undefined : netfilterField(env, off);
    case ProgramType.Tracing:
    case ProgramType.StructOps:
    case ProgramType.Lsm:
      return !isWrite && inside(0, RAW_ARGUMENTS) ? typedArgument(env, off, size) : undefined;
    default:
      return undefined;
  }
};
