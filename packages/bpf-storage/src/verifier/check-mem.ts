import { CLASS_MASK, Class, MODE_MASK, Mode } from "../isa/opcodes.js";
import { MapType } from "../uapi/map-types.js";
import { accessBtf } from "./btf-walk.js";
import { ctxAccess, lookupField } from "./ctx-access.js";
import { type Field, SOCK_COMMON_FIELDS, SOCK_FIELDS, TCP_SOCK_FIELDS, XDP_SOCK_FIELDS } from "./ctx-fields.js";
import type { Env } from "./env.js";
import * as i64 from "./int64.js";
import { checkKptrAccess } from "./kptr.js";
import { hookRange } from "./lsm-hooks.js";
import {
  checkBuffer,
  checkMapPermission,
  checkMapValue,
  checkPacket,
  checkRegion,
  checkUnmodified,
  kptrAt,
  mayAccessPacket,
} from "./memory.js";
import { type Kind, known, Mod, pointer, type Reg, regTypeName, scalar, unknown } from "./reg.js";
import type { VerifierMap } from "./request.js";
import { constant, constOf, isConst, signedRange, width } from "./scalar.js";
import { signExtend, zeroExtend } from "./scalar-alu.js";
import { checkStackBounds, checkStackReadable } from "./stack-bounds.js";
import { readFixed, readVariable } from "./stack-read.js";
import { writeFixed, writeVariable } from "./stack-write.js";
import { tnumAligned, tnumText } from "./tnum.js";

/** One load or store. Places that make one name all members in this order, so that the engine sees one shape. */
export interface Access {
  /** The register with the address. */
  readonly index: number;
  /** Offset of the instruction, bytes. */
  readonly off: number;
  readonly size: number;
  readonly isWrite: boolean;
  /** The register that is loaded or stored; -1 for none. */
  readonly value: number;
  /** What an immediate store stores. */
  readonly immediate: number | undefined;
  /** Has to be aligned, whatever the loader asks for. */
  readonly strict: boolean;
  readonly signExtends: boolean;
}

/** The store of one byte of no known value, `off` bytes past a register. */
export const byteStore = (index: number, off: number): Access => ({
  index,
  off,
  size: 1,
  isWrite: true,
  value: -1,
  immediate: undefined,
  strict: false,
  signExtends: false,
});

/** Bytes of struct bpf_flow_keys. */
const FLOW_KEYS = 56;

/** What alignment errors call the memory. */
const ALIGNMENT_NAMES: Readonly<Partial<Record<Kind, string>>> = {
  flow_keys: "flow keys ",
  map_key: "key ",
  map_value: "value ",
  ctx: "context ",
  fp: "stack ",
  sock: "sock ",
  sock_common: "sock_common ",
  tcp_sock: "tcp_sock ",
  xdp_sock: "xdp_sock ",
};

/** Accesses of the stack are aligned always, others where the loader or the instruction (atomics) asks for it. */
export const checkAlignment = (env: Env, reg: Reg, off: number, size: number, strict: boolean): void => {
  const isStrict = strict || env.request.strictAlignment === true || reg.kind === "fp";
  if (!isStrict || size === 1) return;
  const fixed = reg.off + off;
  if (reg.isPacket) {
    // The Ethernet header is 14 bytes: network headers are aligned to 4 where the packet starts 2 bytes past alignment.
    if (!tnumAligned(reg.v.bits, fixed + 2, size))
      env.fail("EACCES", `misaligned packet access off 2+${tnumText(reg.v.bits)}+${reg.off}+${off} size ${size}`);
    return;
  }
  if (!tnumAligned(reg.v.bits, fixed, size))
    env.fail(
      "EACCES",
      `misaligned ${ALIGNMENT_NAMES[reg.kind] ?? ""}access off ${tnumText(reg.v.bits)}+${reg.off}+${off} size ${size}`,
    );
};

const SOCKETS: Readonly<Partial<Record<Kind, readonly Field[]>>> = {
  sock: SOCK_FIELDS.concat([{ at: 0, length: 4, load: [4] }]),
  sock_common: SOCK_COMMON_FIELDS,
  tcp_sock: TCP_SOCK_FIELDS,
  xdp_sock: XDP_SOCK_FIELDS,
};

/** Little-endian number of `size` bytes. */
const constantAt = (bytes: Uint8Array, at: number, size: number): i64.Int64 => {
  let value = i64.ZERO;
  for (let k = size - 1; k >= 0; k--) value = i64.or(i64.shl(value, 8), i64.fromLow(bytes[at + k] ?? 0));
  return value;
};

const loadMapValue = (env: Env, access: Access, off: number): Reg | undefined => {
  const reg = env.reg(access.index);
  const map = reg.map as VerifierMap;
  checkMapPermission(env, access.index, off, access.size, access.isWrite);
  checkMapValue(env, access.index, off, access.size, false, "direct");
  const fixed = isConst(reg.v) ? off + constOf(reg.v) : undefined;
  const field = fixed === undefined ? undefined : kptrAt(map, fixed);
  if (field !== undefined) return checkKptrAccess(env, access, field);
  if (access.isWrite) return undefined;
  if (map.frozen !== undefined && fixed !== undefined)
    return scalar(constant(constantAt(map.frozen, fixed, access.size)));
  return unknown();
};

const loadMemory = (env: Env, access: Access, off: number): Reg => {
  const reg = env.reg(access.index);
  if (reg.mayBeNull) env.fail("EACCES", `R${access.index} invalid mem access '${regTypeName(reg)}'`);
  if (access.isWrite && (reg.mods & Mod.Rdonly) !== 0)
    env.fail("EACCES", `R${access.index} cannot write into ${regTypeName(reg)}`);
  checkRegion(env, access.index, off, access.size, reg.size, false);
  return unknown();
};

/** The result of the hook that an LSM program is attached to. */
const hookResult = (env: Env): Reg => {
  const [least, greatest] = hookRange(env.request.attachTo?.name);
  return scalar(signedRange(least, greatest));
};

const loadContext = (env: Env, access: Access, off: number): Reg => {
  const reg = env.reg(access.index);
  checkUnmodified(env, reg, access.index);
  const found = ctxAccess(env, off, access.size, access.isWrite, access.signExtends);
  if (found === undefined) return env.fail("EACCES", `invalid bpf_context access off=${off} size=${access.size}`);
  env.contextSize = Math.max(env.contextSize, off + access.size);
  if (found.kind === "scalar") return found.isReturn === true ? hookResult(env) : unknown();
  return pointer(found.kind, {
    mods: found.mods,
    id: (found.mods & Mod.Null) !== 0 ? env.newId() : 0,
    btf: found.btf,
    btfId: found.btfId ?? 0,
  });
};

const accessStack = (env: Env, access: Access, off: number): Reg | undefined => {
  const { index, size, isWrite } = access;
  const range = checkStackBounds(env, index, off, size, "direct", isWrite);
  if (isWrite) {
    if (range.isFixed) writeFixed(env, range.frame, range.min, size, access.value, access.immediate);
    else writeVariable(env, range.frame, range.min, range.max + size, access.value, access.immediate);
    return undefined;
  }
  const reg = env.reg(index);
  if (range.isFixed) return readFixed(env, range.frame, range.min, size);
  if (access.value < 0)
    env.fail(
      "EACCES",
      `variable offset stack pointer cannot be passed into helper function; var_off=${tnumText(reg.v.bits)} off=${off} size=${size}`,
    );
  checkStackReadable(env, index, off, size, false, "direct");
  return readVariable(env, range.frame, range.min, range.max + size);
};

const accessSocket = (env: Env, access: Access, off: number): Reg => {
  const { index, size } = access;
  const reg = env.reg(index);
  if (access.isWrite) env.fail("EACCES", `R${index} cannot write into ${regTypeName(reg)}`);
  if (i64.isNegative(reg.v.smin))
    env.fail("EACCES", `R${index} min value is negative, either use unsigned index or do a if (index >=0) check.`);
  // The variable part of a socket pointer cannot grow: arithmetic on it is refused.
  const fields = SOCKETS[reg.kind] ?? [];
  if (lookupField(fields, off, size, false, false, 0) === undefined)
    env.fail("EACCES", `R${index} invalid ${regTypeName(reg)} access off=${off} size=${size}`);
  return unknown();
};

const accessPacket = (env: Env, access: Access, off: number): Reg => {
  if (access.isWrite && !mayAccessPacket(env, true)) env.fail("EACCES", "cannot write into packet");
  checkPacket(env, access.index, off, access.size, false);
  return unknown();
};

const accessBuffer = (env: Env, access: Access, off: number): Reg => {
  const reg = env.reg(access.index);
  const readOnly = (reg.mods & Mod.Rdonly) !== 0;
  if (readOnly && access.isWrite) env.fail("EACCES", `R${access.index} cannot write into ${regTypeName(reg)}`);
  checkBuffer(env, access.index, off, access.size, readOnly ? "rdonly" : "rdwr");
  return unknown();
};

/** What a load gives, or nothing for a store; refuses what is out of bounds or not allowed. */
const accessByKind = (env: Env, access: Access, off: number): Reg | undefined => {
  const reg = env.reg(access.index);
  switch (reg.kind) {
    case "map_key":
      if (access.isWrite) env.fail("EACCES", `write to change key R${access.index} not allowed`);
      checkRegion(env, access.index, off, access.size, (reg.map as VerifierMap).keySize, false);
      return unknown();
    case "map_value":
      if (!reg.mayBeNull) return loadMapValue(env, access, off);
      break;
    case "mem":
      return loadMemory(env, access, off);
    case "ctx":
      return loadContext(env, access, off);
    case "fp":
      return accessStack(env, access, off);
    case "pkt":
    case "pkt_meta":
      return accessPacket(env, access, off);
    case "flow_keys":
      if (off < 0 || off + access.size > FLOW_KEYS)
        env.fail("EACCES", `invalid access to flow keys off=${off} size=${access.size}`);
      return unknown();
    case "sock":
    case "sock_common":
    case "tcp_sock":
    case "xdp_sock":
      if (!reg.mayBeNull) return accessSocket(env, access, off);
      break;
    case "tp_buffer":
      checkBuffer(env, access.index, off, access.size, "tracepoint");
      return unknown();
    case "ptr_":
      if (!reg.mayBeNull) return accessBtf(env, access.index, off, access.size, access.isWrite);
      break;
    case "map_ptr":
      return accessMapStruct(env, access, off);
    case "buf":
      if (!reg.mayBeNull) return accessBuffer(env, access, off);
      break;
  }
  return env.fail("EACCES", `R${access.index} invalid mem access '${regTypeName(reg)}'`);
};

const ARRAYS: readonly MapType[] = [
  MapType.Array,
  MapType.PercpuArray,
  MapType.ProgArray,
  MapType.PerfEventArray,
  MapType.ArrayOfMaps,
];
const HASHES: readonly MapType[] = [
  ...[MapType.Hash, MapType.PercpuHash, MapType.LruHash, MapType.LruPercpuHash, MapType.HashOfMaps],
];
/** The kernel's struct of a map; each begins with struct bpf_map. */
const mapStruct = (map: VerifierMap | undefined): string =>
  map === undefined
    ? "bpf_map"
    : ARRAYS.includes(map.type)
      ? "bpf_array"
      : HASHES.includes(map.type)
        ? "bpf_htab"
        : "bpf_map";

/** A load through a map pointer itself: the struct of the kernel. */
const accessMapStruct = (env: Env, access: Access, off: number): Reg => {
  const { kernelBtf: btf } = env.request;
  const name = mapStruct(env.reg(access.index).map);
  const id = btf?.structByName(name);
  if (off < 0) env.fail("EACCES", `R${access.index} is ${name} invalid negative access: off=${off}`);
  if (access.isWrite) env.fail("EACCES", `only read from ${name} is supported`);
  if (btf === undefined || id === undefined)
    return env.fail("ENOTSUPP", "map_ptr access not supported without CONFIG_DEBUG_INFO_BTF");
  const held = env.reg(access.index);
  env.set(access.index, pointer("ptr_", { btf, btfId: id }));
  const loaded = accessBtf(env, access.index, off, access.size, false);
  env.set(access.index, held);
  return loaded;
};

/** A load or store through a register; the value register then holds what is known of what was loaded. */
export const accessMemory = (env: Env, access: Access): void => {
  const reg = env.reg(access.index);
  checkAlignment(env, reg, access.off, access.size, access.strict);
  const loaded = accessByKind(env, access, access.off + reg.off);
  if (access.isWrite || access.value < 0 || loaded === undefined) return;
  env.set(access.value, access.size < 8 && loaded.kind === "scalar" ? narrow(loaded, access) : loaded);
};

/** A loaded number as wide as the load, extended. */
const narrow = (loaded: Reg, { size, signExtends }: Access): Reg => {
  if (!signExtends) return width(loaded.v) <= size * 8 ? loaded : scalar(zeroExtend(loaded.v, size), loaded);
  const keeps = width(loaded.v) < size * 8;
  if (keeps) return loaded;
  return scalar(signExtend(loaded.v, (size * 8) as 8 | 16 | 32, 64), loaded);
};

/** Kinds of pointers whose accesses are encoded differently: an instruction must see the same on all paths. */
const DISTINCT: readonly Kind[] = ["ctx", "sock", "sock_common", "tcp_sock", "xdp_sock", "ptr_"];

/** Notes what the pointer of an access is, and refuses an instruction whose paths disagree about it. */
export const notePointer = (env: Env, reg: Reg, mayDifferInTrust: boolean): void => {
  const aux = env.auxAt(env.pc);
  const { insn } = env;
  const isLoad = (insn.code & CLASS_MASK) === Class.Ldx && (insn.code & MODE_MASK) !== Mode.Atomic;
  if ((reg.kind === "ptr_" || reg.kind === "map_ptr") && isLoad) aux.probe = true;
  const was = aux.pointer;
  if (was === undefined) {
    aux.pointer = { kind: reg.kind, mods: reg.mods };
    return;
  }
  const same = was.kind === reg.kind && was.mods === reg.mods;
  if (same || (!DISTINCT.includes(was.kind) && !DISTINCT.includes(reg.kind))) return;
  if (mayDifferInTrust && was.kind === "ptr_" && reg.kind === "ptr_") return;
  env.fail("EINVAL", "same insn cannot be used with different pointers");
};
