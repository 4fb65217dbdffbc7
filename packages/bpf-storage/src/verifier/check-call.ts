import type { Prototype } from "../helpers/notation.js";
import { HELPER_COUNT, helperFor, helperText, prototypeOf } from "../helpers/prototypes.js";
import { MapFlag } from "../uapi/map-types.js";
import { AttachType, ProgramType } from "../uapi/program-types.js";
import { sizeOfType } from "./btf-size.js";
import { callCallback, callDeferred } from "./callbacks.js";
import { releaseDynptr } from "./dynptr.js";
import { DynptrKind } from "./dynptr-slots.js";
import type { Env } from "./env.js";
import { mayHoldLock } from "./fields.js";
import { isFormat } from "./format-string.js";
import { CallArgs, checkArg } from "./helper-args.js";
import { fillRawMemory } from "./helper-memory.js";
import { acquires, casts, changesPacket, Helper, isStorageGet, returnsLength, runsCallback } from "./helper-traits.js";
import { toNumberU } from "./int64.js";
import { exchanged } from "./kptr.js";
import { isSleepableHook } from "./lsm-hooks.js";
import { checkMapHelper } from "./map-helpers.js";
import { forgetPackets } from "./packets.js";
import { acquire, checkLeaks, forgetReference, release } from "./references.js";
import { Mod, pointer, type Reg, type RegChange, scalar, UNINIT, unknown } from "./reg.js";
import { isConst, signedRange } from "./scalar.js";

/** Calls of helpers: whether the program may, what the arguments are, and what comes back. */

/** Errors are at most this. */
const MAX_ERRNO = 4095;
/** CPUs that a machine may have; the result of get_smp_processor_id is below. */
const MAX_CPUS = 8192;

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

/** Members of the kernel's own test call no helpers, and congestion control changes no options at its end. */
const mayStructCall = (env: Env, id: number): boolean => {
  const { struct, name } = env.request.attachTo ?? {};
  const isSockopt = id === Helper.setsockopt || id === Helper.getsockopt;
  return struct === "tcp_congestion_ops" && !(isSockopt && name === "release");
};

const SOCKET_ITERATORS = ["bpf_iter_tcp", "bpf_iter_unix"];

/** The helper, for programs of that kind; those of iterators over sockets may change their options. */
const prototypeFor = (env: Env, id: number): Prototype | undefined => {
  const isSockopt = id === Helper.setsockopt || id === Helper.getsockopt;
  if (isSockopt && env.isIterator && SOCKET_ITERATORS.includes(env.request.attachTo?.name ?? ""))
    return prototypeOf(id);
  return helperFor(env.type, id, env.attachType);
};

const TRACING: readonly ProgramType[] = [ProgramType.Tracing, ProgramType.Lsm, ProgramType.Syscall];

/** Storages of sockets are not for programs within their own functions (linux net/core/bpf_sk_storage.c). */
const mayUseSocketStorage = (env: Env): boolean => {
  if (env.type === ProgramType.Lsm) return true;
  switch (env.attachType) {
    case AttachType.TraceIter:
    case AttachType.TraceRawTp:
      return true;
    case AttachType.TraceFentry:
    case AttachType.TraceFexit:
      return env.request.attachTo?.name.startsWith("bpf_sk_storage") !== true;
    default:
      return false;
  }
};

/** Helpers that only some programs of a kind may call. */
const checkAllowed = (env: Env, prototype: Prototype): void => {
  const { id } = prototype;
  if (env.request.gpl === false && prototype.gplOnly)
    env.fail("EINVAL", "cannot call GPL-restricted function from non-GPL compatible program");
  if (TRACING.includes(env.type)) {
    const isSkStorage = id === Helper.skStorageGet || id === Helper.skStorageDelete;
    if (isSkStorage ? !mayUseSocketStorage(env) : id === Helper.dPath && !mayResolvePaths(env))
      env.fail("EINVAL", "helper call is not allowed in probe");
  }
  if (env.type === ProgramType.StructOps && !mayStructCall(env, id))
    env.fail("EINVAL", `program of this type cannot use helper ${helperText(id)}`);
  if (!env.sleepable && prototype.mightSleep) env.fail("EINVAL", "helper call might sleep in a non-sleepable prog");
  if (prototype.mightSleep && env.state.rcuDepth > 0)
    env.fail("EINVAL", `sleepable helper ${helperText(id)} in rcu_read_lock region`);
  if (prototype.mightSleep && env.state.preemptDepth > 0)
    env.fail("EINVAL", `sleepable helper ${helperText(id)} in non-preemptible region`);
};

/** Storage helpers of sleepable programs may sleep to allocate, but not where RCU or preemption is held, nor in functions of timers. */
const noteStorage = (env: Env, id: number): void => {
  if (!isStorageGet(id)) return;
  const aux = env.auxAt(env.pc);
  const maySleep = env.request.sleepable === true && env.sleepable;
  if (!maySleep || env.state.rcuDepth > 0 || env.state.preemptDepth > 0) aux.atomicStorage = true;
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
  if (args.ref !== 0 && prototype.id === Helper.kptrXchg) {
    if (!forgetReference(env, args.ref))
      env.fail("EINVAL", `func ${helperText(prototype.id)} reference has not been acquired before`);
    storeKptr(env, args.ref);
  } else if (args.ref !== 0) {
    if (!release(env, args.ref))
      env.fail("EINVAL", `func ${helperText(prototype.id)} reference has not been acquired before`);
  } else if (!env.reg(index).isNull)
    env.fail("EINVAL", `func ${helperText(prototype.id)} reference has not been acquired before`);
};

/** What was put into a map is not held any more; objects of every CPU stay good as long as RCU protects them. */
const storeKptr = (env: Env, ref: number): void => {
  const { inRcu } = env;
  const stays = Mod.Alloc | Mod.Percpu;
  env.state.replace((reg) => {
    if (reg.ref !== ref || reg.kind === "scalar") return undefined;
    return inRcu && (reg.mods & stays) === stays
      ? reg.with({ ref: 0, mods: (reg.mods & ~Mod.Alloc) | Mod.Rcu })
      : unknown();
  });
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

/** The format of bpf_snprintf in R3 goes with the arguments, whose length in bytes is in R5. */
const checkFormat = (env: Env): void => {
  const { map, off, v } = env.reg(3);
  const length = env.reg(5).v.bits.value;
  if ((length.lo & 7) !== 0) env.fail("EINVAL");
  const bytes = map?.frozen?.subarray(off + toNumberU(v.bits.value));
  if (bytes === undefined || !isFormat(bytes, toNumberU(length) / 8)) env.fail("EINVAL", "Invalid format string");
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
      callDeferred(env, args.subprog, false);
      break;
    case Helper.snprintf:
      checkFormat(env);
      break;
    case Helper.dynptrFromMem:
      if (env.reg(1).kind !== "map_value")
        env.fail("EACCES", `Unsupported reg type ${env.reg(1).kind} for bpf_dynptr_from_mem data`);
      break;
    case Helper.dynptrWrite:
      return args.dynptr?.kind === DynptrKind.skb;
    default:
      if (runsCallback(id)) callCallback(env, prototype, args);
  }
  return changesPacket(id);
};

const object = (kind: Reg["kind"], env: Env, nullable: boolean, change: RegChange = {}): Reg =>
  pointer(kind, { mods: nullable ? Mod.Null : 0, id: nullable ? env.newId() : 0, ...change });

const integerResult = (prototype: Prototype, args: CallArgs): Reg => {
  if (returnsLength(prototype.id)) return scalar(signedRange(-MAX_ERRNO, args.maxSize));
  if (prototype.id === Helper.getSmpProcessorId) return scalar(signedRange(0, MAX_CPUS - 1));
  return unknown();
};

const structResult = (env: Env, prototype: Prototype, args: CallArgs): Reg => {
  const { result } = prototype;
  if (prototype.id === Helper.kptrXchg) {
    return object("ptr_", env, true, exchanged(env, args.kptr));
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
      return !result.nullable && mayHoldLock(env, reg) ? reg.with({ id: env.newId() }) : reg;
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
      if (isStruct) {
        const reg = object("ptr_", env, result.nullable, { btf: from?.btf, btfId: from?.btfId ?? 0 });
        // What the program has of its own on every CPU.
        return ((from?.mods ?? 0) & Mod.Rcu) === 0
          ? reg
          : pointer("ptr_", { btf: reg.btf, btfId: reg.btfId, mods: Mod.Alloc | Mod.Rcu });
      }
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
  const prototype = prototypeFor(env, id);
  if (prototype === undefined) env.fail("EINVAL", `program of this type cannot use helper ${helperText(id)}`);
  checkAllowed(env, prototype);
  noteStorage(env, id);
  const args = new CallArgs();
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
  if (id === Helper.getFuncIp && env.type !== ProgramType.Kprobe && !env.hasTrampoline)
    env.fail("ENOTSUPP", `func ${helperText(id)} supported only for fentry/fexit/fmod_ret programs`);
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
