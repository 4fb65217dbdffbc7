import { checkArgOffset, checkMemoryArg, isContextStruct } from "./arg-rules.js";
import type { BtfShape, VerifierBtf } from "./btf-port.js";
import { sizeOfType } from "./btf-size.js";
import { isStructAt } from "./btf-walk.js";
import { checkDynptrArg } from "./dynptr.js";
import { DynptrKind } from "./dynptr-slots.js";
import type { Env, Subprogram } from "./env.js";
import { checkUnmodified } from "./memory.js";
import { forgetPackets } from "./packets.js";
import { Mod, pointer, type Reg, regTypeName, typeName, UNINIT, unknown } from "./reg.js";
import { Frame, State } from "./state.js";
import { checkThrow } from "./throwing.js";

/**
 * Global functions: verified once, for any arguments that fit their types, and believed where they are called.
 */

/** An argument, by its type. */
type Parameter =
  | { readonly kind: "scalar" }
  | { readonly kind: "ctx" }
  | { readonly kind: "dynptr" }
  /** Memory of so many bytes, or NULL. */
  | { readonly kind: "mem"; readonly size: number; readonly nullable: boolean }
  /** A trusted pointer to a struct of the kernel. */
  | { readonly kind: "btf"; readonly id: number; readonly name: string; readonly nullable: boolean };

const shapeText = (shape: BtfShape | undefined): string =>
  shape === undefined || shape.kind === "void" ? "UNKNOWN" : shape.kind.toUpperCase();

const KNOWN_TAGS = ["arg:ctx", "arg:trusted", "arg:nonnull", "arg:nullable"];

/** The struct of the kernel that a program's struct stands for: its name without flavour (`task_struct___local`). */
const kernelStruct = (env: Env, index: number, pointee: BtfShape | undefined, nullable: boolean): Parameter => {
  const name = pointee?.kind === "struct" ? pointee.name.replace(/___.*$/, "") : "";
  const id = env.request.kernelBtf?.structByName(name);
  if (id === undefined)
    return env.fail("EINVAL", `arg#${index} type ${shapeText(pointee)} ${name} is not known to the kernel`);
  return { kind: "btf", id, name, nullable };
};

const parameterOf = (
  env: Env,
  btf: VerifierBtf,
  type: number,
  index: number,
  info: { id: number; name: string },
): Parameter => {
  const shape = btf.shape(type);
  const { name } = info;
  const tags = (btf.parameterTags?.(info.id, index) ?? []).filter((tag) => tag.startsWith("arg:"));
  if (tags.some((tag) => !KNOWN_TAGS.includes(tag))) env.fail("EOPNOTSUPP", `arg#${index} has unsupported set of tags`);
  const has = (tag: string): boolean => tags.includes(`arg:${tag}`);
  if (tags.length > 0 && shape?.kind !== "pointer")
    env.fail("EINVAL", `arg#${index} has pointer tag, but is not a pointer type`);
  if ((has("ctx") && tags.length > 1) || (has("trusted") && has("nonnull")) || (has("nullable") && !has("trusted")))
    env.fail("EINVAL", `arg#${index} has invalid combination of tags`);
  if (has("ctx")) return { kind: "ctx" };
  if (shape?.kind === "int" || shape?.kind === "enum") return { kind: "scalar" };
  if (shape?.kind !== "pointer")
    return env.fail("EINVAL", `Arg#${index} type ${shapeText(shape)} in ${name}() is not supported yet.`);
  const pointee = btf.shape(shape.to);
  const isStruct = pointee?.kind === "struct" || pointee?.kind === "union";
  if (isStruct && isContextStruct(env.type, pointee.name)) return { kind: "ctx" };
  if (isStruct && pointee.name === "bpf_dynptr") return { kind: "dynptr" };
  if (has("trusted")) return kernelStruct(env, index, pointee, has("nullable"));
  const size = sizeOfType(btf, shape.to);
  if (size === 0)
    return env.fail("EINVAL", `arg#${index} reference type('${shapeText(pointee)} ') size cannot be determined: -22`);
  return { kind: "mem", size, nullable: !has("nonnull") };
};

/** The parameters of a global function. Refuses what cannot be checked by types alone. */
const parametersOf = (env: Env, subprogram: Subprogram): readonly Parameter[] => {
  const { programBtf: btf } = env.request;
  const { info } = subprogram;
  if (btf === undefined || info === undefined) return env.fail("EFAULT", "Global functions need valid BTF");
  const params = btf.params(info.proto);
  if (params.length > 5)
    env.fail("EINVAL", `Global function ${info.name}() with ${params.length} > 5 args. Buggy compiler.`);
  const result = btf.shape(btf.returns(info.proto));
  if (result?.kind !== "int" && result?.kind !== "enum")
    env.fail("EINVAL", `Global function ${info.name}() doesn't return scalar. Only those are supported.`);
  return params.map(({ type }, index) => parameterOf(env, btf, type, index, info));
};

const checkTrusted = (env: Env, parameter: Parameter & { kind: "btf" }, index: number): void => {
  const reg = env.reg(index);
  const { kernelBtf: btf } = env.request;
  const mods = parameter.nullable ? reg.mods & ~Mod.Null : reg.mods;
  const wanted = typeName("ptr_", Mod.Trusted | (parameter.nullable ? Mod.Null : 0));
  if (reg.kind !== "ptr_" || (mods !== Mod.Trusted && !(mods === 0 && reg.ref !== 0)))
    env.fail("EINVAL", `R${index} type=${regTypeName(reg)} expected=${wanted}`);
  checkUnmodified(env, reg, index, true);
  if (btf === undefined || reg.btf !== btf || !isStructAt(btf, reg.btfId, reg.off, parameter.id))
    env.fail("EINVAL", `R${index} is of another type but ${parameter.name} is expected`);
};

const checkArgument = (env: Env, parameter: Parameter, index: number): void => {
  const reg = env.reg(index);
  switch (parameter.kind) {
    case "scalar":
      if (reg.kind !== "scalar") env.fail("EINVAL", `R${index} is not a scalar`);
      return;
    case "ctx":
      if (reg.kind !== "ctx") env.fail("EINVAL", `arg#${index - 1} expects pointer to ctx`);
      checkUnmodified(env, reg, index);
      return;
    case "mem":
      if (reg.kind === "ptr_" || reg.kind === "?") env.fail("EINVAL", `arg#${index - 1} must be a pointer to memory`);
      if (!parameter.nullable && (reg.mayBeNull || reg.isNull))
        env.fail("EINVAL", `arg#${index - 1} is expected to be non-NULL`);
      checkMemoryArg(env, index, parameter.size);
      return;
    case "dynptr":
      checkArgOffset(env, index, false);
      checkDynptrArg(env, index, { uninit: false, release: false, dynptr: undefined });
      return;
    case "btf":
      if (parameter.nullable && reg.isNull) return;
      checkTrusted(env, parameter, index);
  }
};

/** A call of a global function: checks the arguments, and goes on behind it. */
export const callGlobal = (env: Env, index: number, subprogram: Subprogram): void => {
  const name = subprogram.info?.name ?? "";
  if (env.state.lock !== undefined)
    env.fail("EINVAL", "global function calls are not allowed while holding a lock,\nuse static function instead");
  if (env.state.preemptDepth > 0)
    env.fail("EINVAL", "global function calls are not allowed with preemption disabled,\nuse static function instead");
  // Linux 6.12 does not look at what global functions do while RCU is locked, or when they throw.
  if (subprogram.mightSleep && (env.state.rcuDepth > 0 || !env.sleepable))
    env.fail("EINVAL", "global functions that may sleep are not allowed in non-sleepable context");
  if (subprogram.mightThrow) checkThrow(env);
  const parameters = parametersOf(env, subprogram);
  env.within(`Caller passes invalid args into func#${index} ('${name}')`, () => {
    parameters.forEach((parameter, k) => {
      checkArgument(env, parameter, k + 1);
    });
  });
  env.say(`Func#${index} ('${name}') is global and assumed valid.`);
  if (subprogram.changesPacket) forgetPackets(env);
  env.calledGlobals.add(index);
  for (let k = 1; k <= 5; k++) env.set(k, UNINIT);
  env.set(0, unknown());
};

/** What a global function starts with. */
export const globalStart = (env: Env, index: number): State => {
  const subprogram = env.subprograms[index] as Subprogram;
  env.say(`Validating ${subprogram.info?.name ?? ""}() func#${index}...`);
  const state = new State();
  const frame = new Frame(index, -1, 0);
  const parameters = parametersOf(env, subprogram);
  if (index === env.exceptionCallback && (parameters.length !== 1 || parameters[0]?.kind !== "scalar"))
    env.fail("EINVAL", "exception cb only supports single integer argument");
  parameters.forEach((parameter, k) => {
    frame.regs[k + 1] = argumentOf(env, parameter);
  });
  state.frames = [frame];
  return state;
};

const argumentOf = (env: Env, parameter: Parameter): Reg => {
  switch (parameter.kind) {
    case "scalar":
      return unknown();
    case "ctx":
      return pointer("ctx");
    case "dynptr":
      return pointer("dynptr_ptr", { size: DynptrKind.local, subprog: 1, id: env.newId() });
    case "mem":
      return pointer("mem", { mods: parameter.nullable ? Mod.Null : 0, size: parameter.size, id: env.newId() });
    case "btf": {
      const mods = Mod.Trusted | (parameter.nullable ? Mod.Null : 0);
      return pointer("ptr_", { mods, btf: env.request.kernelBtf, btfId: parameter.id, id: env.newId() });
    }
  }
};
