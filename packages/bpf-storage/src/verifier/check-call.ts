import type { Prototype } from "../helpers/notation.js";
import { HELPER_COUNT, helperFor, helperText } from "../helpers/prototypes.js";
import { MapFlag } from "../uapi/map-types.js";
import { AttachType, ProgramType } from "../uapi/program-types.js";
import { sizeOfType } from "./btf-walk.js";
import { callCallback, callTimer } from "./callbacks.js";
import { releaseDynptr } from "./dynptr.js";
import type { Env } from "./env.js";
import { type CallArgs, checkArg } from "./helper-args.js";
import { fillRawMemory } from "./helper-memory.js";
import { acquires, casts, changesPacket, Helper, isStorageGet, returnsLength, runsCallback } from "./helper-traits.js";
import { isSleepableHook } from "./lsm-hooks.js";
import { checkMapHelper } from "./map-helpers.js";
import { forgetPackets } from "./packets.js";
import { acquire, checkLeaks, release } from "./references.js";
import { Mod, pointer, type Reg, scalar, UNINIT, unknown } from "./reg.js";
import { isConst, signedRange } from "./scalar.js";

/** Calls of helpers: whether the program may, what the arguments are, and what comes back. */

/** Errors are at most this. */
const MAX_ERRNO = 4095n;
/** CPUs that a machine may have; the result of get_smp_processor_id is below. */
const MAX_CPUS = 8192n;

/** Functions from which a path may be resolved: those that hold what it needs (linux kernel/trace/bpf_trace.c, btf_allowlist_d_path). */
const PATH_FUNCTIONS: readonly string[] = [
  ...["security_file_permission", "security_inode_getattr", "security_file_open", "security_path_truncate"],
  ...["vfs_truncate", "vfs_fallocate", "dentry_open", "vfs_getattr", "filp_close"],
];
const mayResolvePaths = (env: Env): boolean => {
  const name = env.request.attachTo?.name;
  if (env.isIterator) return true;
  return env.type === ProgramType.Lsm ? isSleepableHook(name) : name !== undefined && PATH_FUNCTIONS.includes(name);
};

/** Helpers that only some programs of a kind may call. */
const checkAllowed = (env: Env, prototype: Prototype): void => {
  const { id } = prototype;
  const refuse = (): never => env.fail("EINVAL", `program of this type cannot use helper ${helperText(id)}`);
  if (env.request.gpl === false && prototype.gplOnly)
    env.fail("EINVAL", "cannot call GPL-restricted function from non-GPL compatible program");
  if (env.type === ProgramType.Tracing || env.type === ProgramType.Lsm) {
    const arguments_ = id === Helper.getFuncArg || id === Helper.getFuncArgCnt || id === Helper.getFuncRet;
    if ((arguments_ || id === Helper.getAttachCookie) && !env.hasTrampoline) refuse();
    if (
      id === Helper.getFuncRet &&
      env.attachType !== AttachType.TraceFexit &&
      env.attachType !== AttachType.ModifyReturn
    )
      refuse();
    if (id === Helper.dPath && !mayResolvePaths(env)) env.fail("EINVAL", "helper call is not allowed in probe");
    const isSkStorage = id === Helper.skStorageGet || id === Helper.skStorageDelete;
    if (isSkStorage && env.request.attachTo?.name.startsWith("bpf_sk_storage") === true)
      env.fail("EINVAL", "helper call is not allowed in probe");
  }
  if (id === Helper.getFuncIp && env.type !== ProgramType.Kprobe && !env.hasTrampoline)
    env.fail("ENOTSUPP", `func ${helperText(id)} supported only for fentry/fexit/fmod_ret programs`);
  if (!env.sleepable && prototype.mightSleep) env.fail("EINVAL", "helper call might sleep in a non-sleepable prog");
  if (prototype.mightSleep && env.state.rcuDepth > 0)
    env.fail("EINVAL", `sleepable helper ${helperText(id)} in rcu_read_lock region`);
  if (prototype.mightSleep && env.state.preemptDepth > 0)
    env.fail("EINVAL", `sleepable helper ${helperText(id)} in non-preemptible region`);
};

/** Storage helpers of sleepable programs may sleep to allocate, but not where RCU or preemption is held. */
const noteStorage = (env: Env, id: number): void => {
  if (!isStorageGet(id) || !env.sleepable) return;
  const aux = env.auxAt(env.pc);
  if (env.state.rcuDepth > 0 || env.state.preemptDepth > 0) aux.atomicStorage = true;
  else aux.sleepingStorage = true;
};

const MAP_WRITERS: readonly number[] = [Helper.mapUpdate, Helper.mapDelete, Helper.mapPush, Helper.mapPop];

const giveBack = (env: Env, prototype: Prototype, args: CallArgs): void => {
  const index = args.releases;
  if (index === 0) return;
  const spec = prototype.args[index - 1];
  if (spec?.kind === "dynptr") {
    releaseDynptr(env, index);
    return;
  }
  if (args.ref !== 0) {
    if (!release(env, args.ref))
      env.fail("EINVAL", `func ${helperText(prototype.id)} reference has not been acquired before`);
  } else if (!env.reg(index).isNull)
    env.fail("EINVAL", `func ${helperText(prototype.id)} reference has not been acquired before`);
};

const checkTailCall = (env: Env): void => {
  const { state } = env;
  if (state.lock !== undefined) env.fail("EINVAL", "tail_call cannot be used inside bpf_spin_lock-ed region");
  checkLeaks(env, "tail_call would lead to reference leak");
  if (state.rcuDepth > 0) env.fail("EINVAL", "tail_call cannot be used inside bpf_rcu_read_lock-ed region");
  if (state.preemptDepth > 0) env.fail("EINVAL", "tail_call cannot be used inside bpf_preempt_disable-ed region");
  const key = env.reg(3);
  if (isConst(key.v)) env.precise(3);
};

/** What single helpers ask for beyond their prototypes. True where the data of the packet may have moved. */
const checkSpecial = (env: Env, prototype: Prototype, args: CallArgs): boolean => {
  const { id } = prototype;
  switch (id) {
    case Helper.tailCall:
      checkTailCall(env);
      break;
    case Helper.getLocalStorage:
      if (!env.reg(2).isNull) env.fail("EINVAL", "get_local_storage() doesn't support non-zero flags");
      env.precise(2);
      break;
    case Helper.timerSetCallback:
      callTimer(env, args);
      break;
    case Helper.snprintf:
      env.fail("EOPNOTSUPP", "bpf_snprintf is not supported by this verifier: its format strings are not checked yet");
      break;
    case Helper.dynptrFromMem:
      if (env.reg(1).kind !== "map_value")
        env.fail("EACCES", `Unsupported reg type ${env.reg(1).kind} for bpf_dynptr_from_mem data`);
      break;
    default:
      if (runsCallback(id)) callCallback(env, prototype, args);
  }
  return changesPacket(id);
};

const object = (kind: Reg["kind"], env: Env, nullable: boolean, change: Partial<Reg> = {}): Reg =>
  pointer(kind, { mods: nullable ? Mod.Null : 0, id: nullable ? env.newId() : 0, ...change });

const integerResult = (prototype: Prototype, args: CallArgs): Reg => {
  if (returnsLength(prototype.id)) return scalar(signedRange(-MAX_ERRNO, args.maxSize));
  if (prototype.id === Helper.getSmpProcessorId) return scalar(signedRange(0n, MAX_CPUS - 1n));
  return unknown();
};

const structResult = (env: Env, prototype: Prototype, args: CallArgs): Reg => {
  const { result } = prototype;
  if (prototype.id === Helper.kptrXchg) {
    const target = args.kptr?.target;
    return object("ptr_", env, true, { btf: target?.btf, btfId: target?.id ?? 0 });
  }
  const { kernelBtf: btf } = env.request;
  const id = btf?.structByName(result.struct ?? "");
  if (btf === undefined || id === undefined)
    return env.fail(
      "EINVAL",
      `invalid return type of func ${helperText(prototype.id)}: the kernel's types have no struct ${result.struct}`,
    );
  const reg = object("ptr_", env, result.nullable, { btf, btfId: id });
  return result.trusted ? reg.with({ mods: reg.mods | Mod.Trusted }) : reg;
};

const resultOf = (env: Env, prototype: Prototype, args: CallArgs): Reg => {
  const { result } = prototype;
  switch (result.kind) {
    case "int":
      return integerResult(prototype, args);
    case "void":
      return UNINIT;
    case "value": {
      const { map } = args;
      if (map === undefined) return env.fail("EINVAL", "kernel subsystem misconfigured verifier");
      const reg = object("map_value", env, result.nullable, { map, mapUid: args.mapUid });
      const locks = map.fields?.some((field) => field.kind === "bpf_spin_lock") === true;
      return !result.nullable && locks ? reg.with({ id: env.newId() }) : reg;
    }
    case "socket":
      return object("sock", env, result.nullable);
    case "sock_common":
      return object("sock_common", env, result.nullable);
    case "tcp_sock":
      return object("tcp_sock", env, result.nullable);
    case "ringbuf_mem": {
      const reg = object("mem", env, result.nullable, { size: args.memorySize });
      return reg.with({ mods: reg.mods | Mod.Ringbuf });
    }
    case "dynptr_mem":
      return object("mem", env, result.nullable, { size: args.memorySize, dynptr: args.dynptr?.id ?? 0 });
    case "btf":
    case "kptr":
      return structResult(env, prototype, args);
    case "percpu": {
      const from = args.percpu;
      const shape = from?.btf?.shape(from.btfId);
      const isStruct = shape?.kind === "struct" || shape?.kind === "union";
      if (isStruct) return object("ptr_", env, result.nullable, { btf: from?.btf, btfId: from?.btfId ?? 0 });
      const size = from?.btf === undefined ? 0 : sizeOfType(from.btf, from.btfId);
      const reg = object("mem", env, result.nullable, { size });
      return reg.with({ mods: reg.mods | Mod.Rdonly });
    }
    default:
      return env.fail("EINVAL", `unknown return type of func ${helperText(prototype.id)}`);
  }
};

/** Checks a call of a helper and works out its result. */
export const checkHelperCall = (env: Env): void => {
  const { imm: id } = env.insn;
  if (id < 0 || id >= HELPER_COUNT) env.fail("EINVAL", `invalid func ${helperText(id)}`);
  const prototype = helperFor(env.type, id, env.isIterator);
  if (prototype === undefined) env.fail("EINVAL", `program of this type cannot use helper ${helperText(id)}`);
  checkAllowed(env, prototype);
  noteStorage(env, id);
  const args: CallArgs = {
    ...{ map: undefined, mapUid: 0, raw: undefined, releases: 0, ref: 0, subprog: 0, memorySize: 0, maxSize: 0n },
    ...{ dynptr: undefined, kptr: undefined, percpu: undefined },
  };
  for (let k = 0; k < prototype.args.length; k++) checkArg(env, k, prototype, args);
  if (args.map !== undefined && (args.map.flags & MapFlag.RdonlyProg) !== 0 && MAP_WRITERS.includes(id))
    env.fail("EACCES", "write into map forbidden");
  if (args.raw !== undefined) fillRawMemory(env, args.raw);
  giveBack(env, prototype, args);
  const movesPacket = checkSpecial(env, prototype, args);
  const result = resultOf(env, prototype, args);
  for (let k = 0; k < 6; k++) env.set(k, UNINIT);
  env.set(0, withReference(env, prototype, args, result));
  checkMapHelper(env, args.map, id);
  if (movesPacket) forgetPackets(env);
};

/** The reference that a result stands for. */
const withReference = (env: Env, prototype: Prototype, args: CallArgs, result: Reg): Reg => {
  const { id } = prototype;
  if (casts(id) || id === Helper.dynptrData) {
    const ref = id === Helper.dynptrData ? (args.dynptr?.ref ?? 0) : args.ref;
    return ref === 0 ? result : result.with({ ref });
  }
  if (!acquires(id, args.map)) return result;
  const ref = acquire(env, env.pc);
  return result.with({ id: ref, ref });
};
