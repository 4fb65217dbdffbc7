import { MapFlag, MapType } from "../uapi/map-types.js";
import { ProgramType } from "../uapi/program-types.js";
import type { Env } from "./env.js";
import { fieldName } from "./fields.js";
import * as i64 from "./int64.js";
import { type Reg, regTypeName } from "./reg.js";
import type { MapField, VerifierMap } from "./request.js";
import { isConst, isZero } from "./scalar.js";
import { type AccessSource, MAX_VAR_OFF } from "./stack-bounds.js";
import { tnumText } from "./tnum.js";

/** Bounds of accesses to memory of known size: map values and keys, packets, buffers. */

const isInside = (off: number, size: number, length: number, zeroAllowed: boolean): boolean =>
  off >= 0 && (size > 0 || (size === 0 && zeroAllowed)) && off + size <= length;

/** Says that an access is out of bounds, in the words for that kind of memory. */
const sayOutside = (env: Env, index: number, off: number, size: number, length: number): void => {
  const reg = env.reg(index);
  switch (reg.kind) {
    case "map_key":
      env.say(`invalid access to map key, key_size=${length} off=${off} size=${size}`);
      return;
    case "map_value":
      env.say(`invalid access to map value, value_size=${length} off=${off} size=${size}`);
      return;
    case "pkt":
    case "pkt_meta":
    case "pkt_end":
      env.say(`invalid access to packet, off=${off} size=${size}, R${index}(id=${reg.id},off=${off},r=${length})`);
      return;
    default:
      env.say(`invalid access to memory, mem_size=${length} off=${off} size=${size}`);
      return;
  }
};

/** `off` to `off + size`, anywhere the variable part may take it, lies within `length` bytes. */
export const checkRegion = (
  env: Env,
  index: number,
  off: number,
  size: number,
  length: number,
  zeroAllowed: boolean,
): void => {
  const { v } = env.reg(index);
  if (i64.isNegative(v.smin) && i64.toNumberS(v.smin) + off < 0)
    env.fail("EACCES", `R${index} min value is negative, either use unsigned index or do a if (index >=0) check.`);
  const from = (v.smin.lo + off) | 0;
  if (!isInside(from, size, length, zeroAllowed)) {
    sayOutside(env, index, from, size, length);
    env.fail("EACCES", `R${index} min value is outside of the allowed memory range`);
  }
  if (i64.toNumberU(v.umax) >= MAX_VAR_OFF)
    env.fail("EACCES", `R${index} unbounded memory access, make sure to bounds check any such access`);
  const to = i64.toNumberU(v.umax) + off;
  if (!isInside(to, size, length, zeroAllowed)) {
    sayOutside(env, index, to, size, length);
    env.fail("EACCES", `R${index} max value is outside of the allowed memory range`);
  }
};

/** The kptr of a map's value that lies at `off`. */
export const kptrAt = (map: VerifierMap | undefined, off: number): MapField | undefined =>
  map?.fields?.find((field) => field.kind.startsWith("kptr") && field.offset === off);

/** An access to a map's value: within it, and beside what it holds of locks, timers and kernel pointers. */
export const checkMapValue = (
  env: Env,
  index: number,
  off: number,
  size: number,
  zeroAllowed: boolean,
  source: AccessSource,
): void => {
  const reg = env.reg(index);
  const map = reg.map as VerifierMap;
  checkRegion(env, index, off, size, map.valueSize, zeroAllowed);
  for (const field of map.fields ?? []) {
    const overlaps =
      i64.toNumberS(reg.v.smin) + off < field.offset + field.size &&
      field.offset < i64.toNumberU(reg.v.umax) + off + size;
    if (!overlaps) continue;
    if (!field.kind.startsWith("kptr"))
      env.fail("EACCES", `${fieldName(field.kind)} cannot be accessed directly by load/store`);
    if (source !== "direct") env.fail("EACCES", "kptr cannot be accessed indirectly by helper");
    if (!isConst(reg.v)) env.fail("EACCES", "kptr access cannot have variable offset");
    const at = off + i64.toNumberU(reg.v.bits.value);
    if (at !== field.offset) env.fail("EACCES", `kptr access misaligned expected=${field.offset} off=${at}`);
    if (size !== 8) env.fail("EACCES", "kptr access size must be BPF_DW");
  }
};

/** Whether programs may load from, or store to, the values of a map. */
export const checkMapPermission = (env: Env, index: number, off: number, size: number, isWrite: boolean): void => {
  const map = env.reg(index).map as VerifierMap;
  const forbidden = isWrite ? (map.flags & MapFlag.RdonlyProg) !== 0 : (map.flags & MapFlag.WronlyProg) !== 0;
  if (forbidden)
    env.fail(
      "EACCES",
      `${isWrite ? "write into" : "read from"} map forbidden, value_size=${map.valueSize} off=${off} size=${size}`,
    );
};

/** Whether a map's value can be addressed directly by programs. */
export const hasDirectValue = (map: VerifierMap): boolean =>
  map.directValue ?? (map.type === MapType.Array && map.maxEntries === 1);

/** An access to the packet within the part that was compared to its end. */
export const checkPacket = (env: Env, index: number, off: number, size: number, zeroAllowed: boolean): void => {
  const reg = env.reg(index);
  if (i64.isNegative(reg.v.smin))
    env.fail("EACCES", `R${index} min value is negative, either use unsigned index or do a if (index >=0) check.`);
  if (reg.size < 0) env.fail("EINVAL", `R${index} offset is outside of the packet`);
  if (!isInside(off, size, reg.size, zeroAllowed)) {
    sayOutside(env, index, off, size, reg.size);
    env.fail("EACCES", `R${index} offset is outside of the packet`);
  }
};

const PACKET_READERS: readonly ProgramType[] = [
  ProgramType.LwtIn,
  ProgramType.LwtOut,
  ProgramType.LwtSeg6local,
  ProgramType.SkReuseport,
  ProgramType.FlowDissector,
  ProgramType.CgroupSkb,
];
const PACKET_WRITERS: readonly ProgramType[] = [
  ProgramType.SchedCls,
  ProgramType.SchedAct,
  ProgramType.Xdp,
  ProgramType.LwtXmit,
  ProgramType.SkSkb,
  ProgramType.SkMsg,
  ProgramType.CgroupSockopt,
];

/** Whether programs of this kind may load from, or store to, packets themselves; `helperMay` is what the helper's prototype says. */
export const mayAccessPacket = (env: Env, isWrite: boolean, helperMay?: boolean): boolean => {
  if (env.type === ProgramType.CgroupSockopt) return true;
  const may = PACKET_WRITERS.includes(env.type) || (!isWrite && PACKET_READERS.includes(env.type));
  return may && (helperMay ?? true);
};

/** A pointer that must be as it was given: no variable part, no negative offset and, but for `fixedAllowed`, no offset at all. */
export const checkUnmodified = (env: Env, reg: Reg, index: number, fixedAllowed = false): void => {
  if (reg.off < 0) env.fail("EACCES", `negative offset ${regTypeName(reg)} ptr R${index} off=${reg.off} disallowed`);
  if (!fixedAllowed && reg.off !== 0)
    env.fail("EACCES", `dereference of modified ${regTypeName(reg)} ptr R${index} off=${reg.off} disallowed`);
  if (!isConst(reg.v) || !isZero(reg.v))
    env.fail("EACCES", `variable ${regTypeName(reg)} access var_off=${tnumText(reg.v.bits)} disallowed`);
};

/** A buffer whose size is only known when the program is attached. */
export const checkBuffer = (
  env: Env,
  index: number,
  off: number,
  size: number,
  what: "rdonly" | "rdwr" | "tracepoint",
): void => {
  const reg = env.reg(index);
  if (off < 0) env.fail("EACCES", `R${index} invalid ${what} buffer access: off=${off}, size=${size}`);
  if (!isConst(reg.v) || !isZero(reg.v))
    env.fail("EACCES", `R${index} invalid variable buffer offset: off=${off}, var_off=${tnumText(reg.v.bits)}`);
  env.bufferAccess[what] = Math.max(env.bufferAccess[what], off + size);
};
