import type { ArgSpec, Prototype } from "../helpers/notation.js";
import { MapType } from "../uapi/map-types.js";
import { checkArgOffset, checkConstString } from "./arg-rules.js";
import { isStructAt } from "./btf-walk.js";
import { checkAlignment } from "./check-mem.js";
import { checkDynptrArg, type DynptrArg } from "./dynptr.js";
import { checkReadable, type Env } from "./env.js";
import { checkHelperMemory, checkSizedMemory, type RawMemory } from "./helper-memory.js";
import { Helper } from "./helper-traits.js";
import { toNumberU } from "./int64.js";
import { inTreeCallback } from "./kfunc-callee.js";
import { checkKptrDest, checkKptrMatch } from "./kptr.js";
import { checkDeferred, checkLock } from "./locks.js";
import { mayAccessPacket } from "./memory.js";
import { type Kind, Mod, type Reg, regTypeName, typeName } from "./reg.js";
import type { ObjectField, VerifierMap } from "./request.js";
import { isConst } from "./scalar.js";

/** What the arguments of a call were found to be. */
export class CallArgs {
  map: VerifierMap | undefined = undefined;
  mapUid = 0;
  raw: RawMemory | undefined = undefined;
  /** The register whose reference is given back, 0 for none. */
  releases = 0;
  ref = 0;
  subprog = 0;
  /** Bytes of the result. */
  memorySize = 0;
  /** Greatest length of the buffer. */
  maxSize = 0;
  dynptr: DynptrArg | undefined = undefined;
  kptr: ObjectField | undefined = undefined;
  percpu: Reg | undefined = undefined;
}

type Accepted = readonly (readonly [Kind, number])[];

const T = (...kinds: (Kind | readonly [Kind, number])[]): Accepted =>
  kinds.map((kind): readonly [Kind, number] => (typeof kind === "string" ? [kind, 0] : kind));

const MEMORY = T("fp", "pkt", "pkt_meta", "map_key", "map_value", "mem", ["mem", Mod.Ringbuf], "buf", [
  "ptr_",
  Mod.Trusted,
]);
const SOCKETS = T("sock_common", "sock", "tcp_sock", "xdp_sock");

/** Kinds of registers that each kind of argument takes. */
const ACCEPTED: Readonly<Record<string, Accepted>> = {
  key: MEMORY,
  value: MEMORY,
  mem: MEMORY,
  fixed: MEMORY,
  size: T("scalar"),
  size0: T("scalar"),
  alloc: T("scalar"),
  scalar: T("scalar"),
  map: T("map_ptr"),
  ctx: T("ctx"),
  sock_common: SOCKETS,
  sk: [...SOCKETS, ...T("ptr_", ["ptr_", Mod.Trusted])],
  socket: T("sock"),
  btf: T("ptr_", ["ptr_", Mod.Trusted], ["ptr_", Mod.Rcu]),
  kptr: T("ptr_", ["ptr_", Mod.Trusted], ["ptr_", Mod.Rcu]),
  lock: T("map_value", ["ptr_", Mod.Alloc]),
  ringbuf: T(["mem", Mod.Ringbuf]),
  percpu: T(["ptr_", Mod.Percpu], ["ptr_", Mod.Percpu | Mod.Rcu], ["ptr_", Mod.Percpu | Mod.Trusted]),
  func: T("func"),
  stack: T("fp"),
  str: T("map_value"),
  timer: T("map_value"),
  kptr_dest: T("map_value", ["ptr_", Mod.Alloc]),
  dynptr: T("fp", "dynptr_ptr"),
};

const structName = (reg: Reg): string => {
  const shape = reg.btf?.shape(reg.btfId);
  return shape?.kind === "struct" || shape?.kind === "union" ? shape.name : "";
};

const checkStruct = (env: Env, index: number, spec: ArgSpec, id: number, args: CallArgs): void => {
  const reg = env.reg(index);
  if (reg.mayBeNull && (!spec.nullable || spec.release))
    env.fail("EACCES", `Possibly NULL pointer passed to helper arg${index}`);
  if (spec.kind === "kptr") {
    if (args.kptr !== undefined) checkKptrMatch(env, args.kptr, reg, index);
    return;
  }
  const { kernelBtf: btf } = env.request;
  const wantedName = spec.struct ?? "sock_common";
  const wanted = btf?.structByName(wantedName);
  const strict = spec.release && id !== Helper.skRelease;
  const matches =
    btf !== undefined && reg.btf === btf && wanted !== undefined && isStructAt(btf, reg.btfId, reg.off, wanted, strict);
  if (!matches) env.fail("EACCES", `R${index} is of type ${structName(reg)} but ${wantedName} is expected`);
};

const checkKind = (env: Env, index: number, spec: ArgSpec, prototype: Prototype, args: CallArgs): void => {
  const reg = env.reg(index);
  const accepted = ACCEPTED[spec.kind] ?? [];
  let { mods } = reg;
  if (spec.readOnly) mods &= ~Mod.Rdonly;
  if (spec.nullable) mods &= ~Mod.Null;
  if (spec.kind === "mem") mods &= ~(Mod.Slice | Mod.PacketSlice);
  // Objects of the program may be given away.
  if (spec.kind === "kptr" && (mods & Mod.Alloc) !== 0) mods &= ~(Mod.Alloc | Mod.Percpu);
  if (!accepted.some(([kind, want]) => kind === reg.kind && want === mods)) {
    const names = accepted.map(([kind, want]) => typeName(kind, want)).join(", ");
    env.fail("EACCES", `R${index} type=${regTypeName(reg)} expected=${names}`);
  }
  if (reg.kind !== "ptr_") return;
  if (accepted === MEMORY) {
    if (!spec.readOnly)
      env.fail("EACCES", `bpf_${prototype.name}() may write into memory pointed by R${index} type=${regTypeName(reg)}`);
    return;
  }
  if (spec.kind !== "percpu" && spec.kind !== "lock" && spec.kind !== "kptr_dest")
    checkStruct(env, index, spec, prototype.id, args);
};

const keepRaw = (args: CallArgs, raw: RawMemory | undefined): void => {
  args.raw = raw ?? args.raw;
};

const checkMemoryArg = (env: Env, index: number, spec: ArgSpec, prototype: Prototype, args: CallArgs): void => {
  const reg = env.reg(index);
  const { map } = args;
  switch (spec.kind) {
    case "map":
      if (args.map !== undefined && (args.map !== reg.map || args.mapUid !== reg.mapUid))
        env.fail(
          "EINVAL",
          `timer pointer in R1 map_uid=${args.mapUid} doesn't match map pointer in R2 map_uid=${reg.mapUid}`,
        );
      args.map = reg.map;
      args.mapUid = reg.mapUid;
      return;
    case "key":
      if (map === undefined) env.fail("EACCES", "invalid map_ptr to access map->key");
      checkHelperMemory(env, index, map.keySize, false, false, false);
      return;
    case "value":
      if (spec.nullable && reg.isNull) return;
      if (map === undefined) env.fail("EACCES", "invalid map_ptr to access map->value");
      keepRaw(args, checkHelperMemory(env, index, map.valueSize, spec.write, false, spec.uninit));
      return;
    case "fixed":
      keepRaw(args, checkHelperMemory(env, index, spec.size, spec.write, false, spec.uninit));
      if (spec.write) checkAlignment(env, reg, 0, spec.size, true);
      return;
    case "size":
    case "size0": {
      const memory = prototype.args[index - 2];
      args.maxSize = toNumberU(reg.v.umax);
      keepRaw(
        args,
        checkSizedMemory(env, index, memory?.write === true, spec.kind === "size0", memory?.uninit === true),
      );
      return;
    }
    case "alloc":
      if (!isConst(reg.v)) env.fail("EACCES", `R${index} is not a known constant'`);
      args.memorySize = reg.v.bits.value.lo >>> 0;
      env.precise(index);
      return;
  }
};

const checkObjectArg = (env: Env, index: number, spec: ArgSpec, prototype: Prototype, args: CallArgs): void => {
  const reg = env.reg(index);
  switch (spec.kind) {
    case "percpu":
      args.percpu = reg;
      return;
    case "lock":
      if (inTreeCallback(env)) env.fail("EACCES", "can't spin_{lock,unlock} in rbtree cb");
      checkLock(env, index, prototype.id === Helper.spinLock);
      return;
    case "timer":
      args.map = checkDeferred(env, index, "bpf_timer");
      args.mapUid = reg.mapUid;
      return;
    case "func":
      args.subprog = reg.subprog;
      return;
    case "dynptr":
      args.dynptr = checkDynptrArg(env, index, spec);
      return;
    case "str":
      checkConstString(env, index);
      return;
    case "kptr_dest":
      args.map = reg.map;
      args.kptr = checkKptrDest(env, index);
      return;
    default:
      checkMemoryArg(env, index, spec, prototype, args);
      return;
  }
};

/** Maps of sockets take and give sockets in place of memory of the value's size; a bloom filter reads what it looks for. */
const resolveValue = (env: Env, spec: ArgSpec, prototype: Prototype, args: CallArgs): ArgSpec => {
  if (spec.kind !== "value") return spec;
  if (args.map === undefined) return env.fail("EACCES", "invalid map_ptr to access map->type");
  if (args.map.type === MapType.Sockmap || args.map.type === MapType.Sockhash) {
    if (spec.nullable || spec.uninit) env.fail("EINVAL", "invalid arg_type for sockmap/sockhash");
    return { ...spec, kind: "sk" };
  }
  if (args.map.type === MapType.BloomFilter && prototype.id === Helper.mapPeek)
    return { ...spec, uninit: false, write: false };
  return spec;
};

/** Checks one argument (`position` from 0) of a call, and notes what it is. */
export const checkArg = (env: Env, position: number, prototype: Prototype, args: CallArgs): void => {
  const given = prototype.args[position];
  if (given === undefined) return;
  const index = position + 1;
  const reg = checkReadable(env, index);
  if (given.kind === "any") return;
  if (reg.isAnyPacket && !mayAccessPacket(env, false, prototype.packetAccess))
    env.fail("EACCES", "helper access to the packet is not allowed");
  const spec = resolveValue(env, given, prototype, args);
  if (reg.isNull && spec.nullable) env.precise(index);
  else {
    checkKind(env, index, spec, prototype, args);
    if (!(spec.release && spec.kind === "dynptr" && reg.kind === "fp")) checkArgOffset(env, index, spec.release);
  }
  if (spec.release) {
    if (spec.kind === "dynptr" && reg.kind !== "fp") env.fail("EINVAL", "cannot release unowned const bpf_dynptr");
    if (spec.kind !== "dynptr" && reg.ref === 0 && !reg.isNull)
      env.fail("EINVAL", `R${index} must be referenced when passed to release function`);
    args.releases = index;
  }
  if (reg.ref !== 0 && spec.kind !== "kptr_dest") {
    if (args.ref !== 0)
      env.fail("EFAULT", `verifier internal error: more than one arg with ref_obj_id R${index} ${reg.ref} ${args.ref}`);
    args.ref = reg.ref;
  }
  if (reg.isNull && spec.nullable && spec.kind !== "mem" && spec.kind !== "value") return;
  checkObjectArg(env, index, spec, prototype, args);
};
