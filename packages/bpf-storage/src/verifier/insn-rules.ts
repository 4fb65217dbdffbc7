import { BpfError } from "../errors.js";
import type { Insn } from "../isa/insn.js";
import {
  AluOp,
  CLASS_MASK,
  Class,
  JmpOp,
  LD_IMM64,
  MODE_MASK,
  Mode,
  OP_MASK,
  Pseudo,
  SIZE_MASK,
  Size,
  Source,
} from "../isa/opcodes.js";
import { MapType } from "../uapi/map-types.js";
import { ProgramType } from "../uapi/program-types.js";
import { sizeOfType } from "./btf-size.js";
import type { Env } from "./env.js";
import { hasDirectValue } from "./memory.js";
import { Mod, pointer, type Reg } from "./reg.js";
import type { VerifierMap } from "./request.js";
import { MAX_VAR_OFF } from "./stack-bounds.js";

/** Rules of single instructions that need no path: opcodes that exist, wide loads, and the maps that they name. */

/** Programs that run in any context, NMI among them: no locks and timers. */
const TRACING: readonly ProgramType[] = [
  ProgramType.Kprobe,
  ProgramType.Tracepoint,
  ProgramType.PerfEvent,
  ProgramType.RawTracepoint,
  ProgramType.RawTracepointWritable,
];

/** Maps that programs that sleep may use. */
const SLEEPABLE_MAPS: readonly MapType[] = [
  ...[MapType.Hash, MapType.LruHash, MapType.Array, MapType.PercpuHash, MapType.PercpuArray, MapType.LruPercpuHash],
  ...[MapType.ArrayOfMaps, MapType.HashOfMaps, MapType.Ringbuf, MapType.UserRingbuf, MapType.InodeStorage],
  ...[MapType.SkStorage, MapType.TaskStorage, MapType.CgrpStorage, MapType.Queue, MapType.Stack, MapType.Arena],
];

const has = (map: VerifierMap, kind: string): boolean => map.fields?.some((field) => field.kind === kind) === true;

/** Whether programs of this kind may use the map at all. */
const checkMapUse = (env: Env, map: VerifierMap): void => {
  const traces = TRACING.includes(env.type);
  if (traces && (has(map, "bpf_list_head") || has(map, "bpf_rb_root")))
    env.fail("EINVAL", "tracing progs cannot use bpf_{list_head,rb_root} yet");
  if (has(map, "bpf_spin_lock")) {
    if (env.type === ProgramType.SocketFilter) env.fail("EINVAL", "socket filter progs cannot use bpf_spin_lock yet");
    if (traces) env.fail("EINVAL", "tracing progs cannot use bpf_spin_lock yet");
  }
  if (traces && has(map, "bpf_timer")) env.fail("EINVAL", "tracing progs cannot use bpf_timer yet");
  if (traces && has(map, "bpf_wq")) env.fail("EINVAL", "tracing progs cannot use bpf_wq yet");
  if (map.type === MapType.StructOps) env.fail("EINVAL", "bpf_struct_ops map cannot be used in prog");
  if (map.type === MapType.Arena) env.fail("EOPNOTSUPP", "arena maps are not supported by this verifier");
  if (env.sleepable && !SLEEPABLE_MAPS.includes(map.type))
    env.fail("EINVAL", "Sleepable programs can only use array, hash, ringbuf and local storage maps");
};

/** What the address of a variable or function of the kernel points to. */
const resolveSymbol = (env: Env, id: number, module: number): Reg => {
  const { kernelBtf: btf } = env.request;
  if (module !== 0) env.fail("EINVAL", "invalid module BTF object FD specified.");
  const shape = btf?.shape(id);
  if (btf === undefined || shape === undefined)
    return env.fail("ENOENT", `ldimm64 insn specifies invalid btf_id ${id}.`);
  if (shape.kind === "func") return pointer("mem", { mods: Mod.Rdonly, size: 0 });
  const variable = btf.variable?.(id);
  if (variable === undefined) return env.fail("EINVAL", `pseudo btf_id ${id} in ldimm64 isn't KIND_VAR or KIND_FUNC`);
  const btfId = btf.resolve(variable.type);
  const target = btf.shape(btfId);
  if (variable.perCpu) return pointer("ptr_", { mods: Mod.Percpu, btf, btfId });
  if (target?.kind === "struct" || target?.kind === "union") return pointer("ptr_", { btf, btfId });
  return pointer("mem", { mods: Mod.Rdonly, size: sizeOfType(btf, btfId) });
};

const mapAt = (env: Env, fd: number, at: number): VerifierMap => {
  try {
    return env.request.maps(fd, at) ?? env.fail("EBADF", `fd ${fd} is not pointing to valid bpf_map`);
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    return env.fail(error.code, error.message.slice(error.code.length + 2));
  }
};

const resolveWide = (env: Env, at: number, insn: Insn, second: Insn): void => {
  if (insn.src === 0 || insn.src === Pseudo.Func) return;
  if (insn.src === Pseudo.BtfId) {
    env.auxAt(at).symbol = resolveSymbol(env, insn.imm, second.imm);
    return;
  }
  const isValue = insn.src === Pseudo.MapValue || insn.src === Pseudo.MapIdxValue;
  if (insn.src > Pseudo.MapIdxValue || (!isValue && second.imm !== 0))
    env.fail("EINVAL", "unrecognized bpf_ld_imm64 insn");
  if (insn.src === Pseudo.MapIdx || insn.src === Pseudo.MapIdxValue)
    env.fail("EPROTO", "fd_idx without fd_array is invalid");
  const map = mapAt(env, insn.imm, at);
  if (!env.usedMaps.includes(map)) {
    if (env.usedMaps.length >= 64)
      env.fail("E2BIG", "The total number of maps per program has reached the limit of 64");
    checkMapUse(env, map);
    env.usedMaps.push(map);
    const isCgroup = (each: VerifierMap): boolean => each.type === map.type;
    if (
      (map.type === MapType.CgroupStorage || map.type === MapType.PercpuCgroupStorage) &&
      env.usedMaps.filter(isCgroup).length > 1
    )
      env.fail("EBUSY", "only one cgroup storage of each type is allowed");
  }
  const aux = env.auxAt(at);
  aux.map = map;
  if (!isValue) return;
  const off = second.imm >>> 0;
  if (off >= MAX_VAR_OFF) env.fail("EINVAL", `direct value offset of ${off} is not allowed`);
  if (map.type !== MapType.Array) env.fail("EINVAL", "no direct value access support for this map type");
  if (!hasDirectValue(map))
    env.fail("ENOTSUPP", `invalid access to map value pointer, value_size=${map.valueSize} off=${off}`);
  if (off >= map.valueSize)
    env.fail("EINVAL", `invalid access to map value pointer, value_size=${map.valueSize} off=${off}`);
  aux.mapOffset = off;
};

/** Opcodes of loads and stores that exist; the other classes have all. */
const isKnown = ({ code }: Insn): boolean => {
  const mode = code & MODE_MASK;
  const size = code & SIZE_MASK;
  const op = code & OP_MASK;
  const isRegister = (code & Source.X) !== 0;
  switch (code & CLASS_MASK) {
    case Class.Ld:
      return (mode === Mode.Abs || mode === Mode.Ind) && size !== Size.Dw;
    case Class.Ldx:
      return mode === Mode.Mem || (mode === Mode.MemSx && size !== Size.Dw);
    case Class.St:
      return mode === Mode.Mem;
    case Class.Stx:
      return mode === Mode.Mem || (mode === Mode.Atomic && (size === Size.W || size === Size.Dw));
    case Class.Jmp:
      if (op === JmpOp.Ja || op === JmpOp.Call || op === JmpOp.Exit || op === JmpOp.Jcond) return !isRegister;
      return op <= JmpOp.Jsle;
    case Class.Jmp32:
      if (op === JmpOp.Ja) return !isRegister;
      return op !== JmpOp.Call && op !== JmpOp.Exit && op <= JmpOp.Jsle;
    default:
      if (op === AluOp.Neg) return !isRegister;
      if (op === AluOp.End) return (code & CLASS_MASK) === Class.Alu || !isRegister;
      return op < AluOp.End;
  }
};

/** Checks all instructions, and resolves the maps that they name. */
export const checkInsns = (env: Env): void => {
  for (let at = 0; at < env.insns.length; at++) {
    const insn = env.insnAt(at);
    const mode = insn.code & MODE_MASK;
    if ((insn.code & CLASS_MASK) === Class.Ldx && ((mode !== Mode.Mem && mode !== Mode.MemSx) || insn.imm !== 0))
      env.fail("EINVAL", "BPF_LDX uses reserved fields");
    if (insn.code === LD_IMM64) {
      const second = env.insns[at + 1];
      if (second === undefined || second.code !== 0 || second.dst !== 0 || second.src !== 0 || second.off !== 0)
        env.fail("EINVAL", "invalid bpf_ld_imm64 insn");
      resolveWide(env, at, insn, second);
      at++;
      continue;
    }
    if (!isKnown(insn)) env.fail("EINVAL", `unknown opcode ${insn.code.toString(16).padStart(2, "0")}`);
  }
};
