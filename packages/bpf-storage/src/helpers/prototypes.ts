import { ProgramType } from "../uapi/program-types.js";
import { isAvailableTo } from "./attach-rules.js";
import { isAvailable } from "./availability.js";
import { HELPER_NAMES } from "./names.js";
import { type Prototype, type PrototypeRow, parsePrototype } from "./notation.js";
import { HELPERS_1_TO_110 } from "./table-1.js";
import { HELPERS_111_TO_211 } from "./table-2.js";

const byId = new Map([...HELPERS_1_TO_110, ...HELPERS_111_TO_211].map((row) => [row[0], parsePrototype(row)]));

const variant = (rows: readonly PrototypeRow[]): ReadonlyMap<number, Prototype> =>
  new Map(rows.map((row) => [row[0], parsePrototype(row)]));

/** Where tracing programs (fentry, fexit, tp_btf, iter, lsm) get a helper of another signature. */
const TRACING_VARIANTS = variant([
  [46, "get_socket_cookie", "sk?", "int"],
  [107, "sk_storage_get", "map, btf?:sock_common, value?, any", "value?"],
  [108, "sk_storage_delete", "map, btf?:sock_common", "int"],
  [188, "xdp_get_buff_len", "btf:xdp_buff", "int"],
]);

/** LSM programs have the storages of sockets as programs of networks have them. */
const LSM_VARIANTS = variant([
  [107, "sk_storage_get", "map, sk, value?, any", "value?"],
  [108, "sk_storage_delete", "map, sk", "int"],
]);

const CGROUP_SOCK_VARIANTS = variant([[107, "sk_storage_get", "map, ctx, value?, any", "value?"]]);

const CONTEXT_SOCKOPTS = variant([
  [49, "setsockopt", "ctx, any, any, mem, size", "int"],
  [57, "getsockopt", "ctx, any, any, mem:out, size", "int"],
]);

const SK_LOOKUP_VARIANTS = variant([[124, "sk_assign", "ctx, socket?, any", "int"]]);
const CURRENT_VARIANTS = variant([[17, "get_cgroup_classid", "", "int"]]);

const VARIANTS: ReadonlyMap<ProgramType, readonly ReadonlyMap<number, Prototype>[]> = new Map([
  [ProgramType.Tracing, [TRACING_VARIANTS]],
  [ProgramType.Lsm, [LSM_VARIANTS, TRACING_VARIANTS]],
  [ProgramType.Syscall, [TRACING_VARIANTS]],
  [ProgramType.CgroupSock, [CGROUP_SOCK_VARIANTS, CURRENT_VARIANTS]],
  [ProgramType.CgroupSockAddr, [CONTEXT_SOCKOPTS, CURRENT_VARIANTS]],
  [ProgramType.CgroupDevice, [CURRENT_VARIANTS]],
  [ProgramType.CgroupSysctl, [CURRENT_VARIANTS]],
  [ProgramType.CgroupSockopt, [CURRENT_VARIANTS]],
  [ProgramType.SkMsg, [CURRENT_VARIANTS]],
  [ProgramType.SockOps, [CONTEXT_SOCKOPTS]],
  [ProgramType.SkLookup, [SK_LOOKUP_VARIANTS]],
  [ProgramType.SkReuseport, [variant([[46, "get_socket_cookie", "sk?", "int"]])]],
]);

/** Greatest number of a helper of linux 6.12, plus one. */
export const HELPER_COUNT = HELPER_NAMES.length;

/** The name of a helper without `bpf_`; `unknown` for a number that is none. */
export const helperName = (id: number): string => HELPER_NAMES[id] ?? "unknown";

/** A helper as messages have it: `bpf_map_lookup_elem#1`. */
export const helperText = (id: number): string =>
  HELPER_NAMES[id] === undefined ? `unknown#${id}` : `bpf_${HELPER_NAMES[id]}#${id}`;

/** The prototype of a helper by number, whatever program calls it; undefined where none is known. */
export const prototypeOf = (id: number): Prototype | undefined => byId.get(id);

/** The helper as programs of this kind see it, or undefined where they may not call it. */
export const helperFor = (type: ProgramType, id: number, attach: number): Prototype | undefined => {
  const name = helperName(id);
  if (!isAvailable(type, name) || !isAvailableTo(type, attach, name)) return undefined;
  for (const variants of VARIANTS.get(type) ?? []) {
    const found = variants.get(id);
    if (found !== undefined) return found;
  }
  return byId.get(id);
};
