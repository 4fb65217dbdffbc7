import { CLASS_MASK, Class, JmpOp, OP_MASK, Source } from "../isa/opcodes.js";
import { MapType } from "../uapi/map-types.js";
import { checkReadable, type Env, MAX_PENDING } from "./env.js";
import { mayHoldLock } from "./fields.js";
import { toNumberS } from "./int64.js";
import { syncLinked } from "./links.js";
import { flipOp, learnPacket, packetBranchTaken } from "./packet-branch.js";
import { type Kind, known, Mod, markPrecise, type Reg, scalar } from "./reg.js";
import { isConst } from "./scalar.js";
import { branchTaken, refine } from "./scalar-branch.js";
import type { State } from "./state.js";
import { findEntry, widen } from "./widen.js";

/** Conditional jumps: which way they go, and what is known on each. */

/** Puts a copy of the state on the list of paths to look at. */
export const pushPath = (env: Env, pc: number): State => {
  const state = env.state.copy();
  env.pending.push({ state, pc, previous: env.pc, log: env.logPosition });
  if (env.pending.length > MAX_PENDING)
    env.fail("E2BIG", `The sequence of ${env.pending.length} jumps is too complex.`);
  if (state.parent !== undefined) state.parent.branches++;
  return state;
};

const NEVER_NULL: readonly Kind[] = [
  "sock",
  "tcp_sock",
  "xdp_sock",
  "buf",
  "map_value",
  "map_key",
  "sock_common",
  "mem",
  "map_ptr",
];
const NEAR = 1 << 29;

/**
 * Whether a pointer is certainly not NULL. Pointers to structs of the kernel are so only where a reference is held: arguments of
 * tracepoints that are said to be trusted are NULL at times.
 */
const isNotNull = (reg: Reg): boolean =>
  !reg.mayBeNull &&
  toNumberS(reg.v.smin) > -NEAR &&
  toNumberS(reg.v.smax) < NEAR &&
  (NEVER_NULL.includes(reg.kind) || (reg.kind === "ptr_" && reg.ref !== 0));

/** What is known of both operands in one outcome. */
type Learnt = NonNullable<ReturnType<typeof refine>>;

/** How a comparison may come out: known, or open with what each outcome teaches of two numbers. */
interface Outcomes {
  readonly taken: boolean | undefined;
  readonly jumps?: Learnt | undefined;
  readonly stays?: Learnt | undefined;
}

/**
 * Of numbers: known from their ranges, or because one outcome contradicts what is known of them. Linux goes on with an outcome that cannot be
 * as if all numbers were unknown, and may refuse a program for what it does there; then it depends on the order of branches which it refuses.
 */
const numberOutcomes = (dst: Reg, src: Reg, op: number, is32: boolean): Outcomes => {
  const taken = branchTaken(op, dst.v, src.v, is32);
  if (taken !== undefined) return { taken };
  const jumps = refine(op, true, dst.v, src.v, is32, dst === src);
  const stays = refine(op, false, dst.v, src.v, is32, dst === src);
  const open = (jumps === undefined) === (stays === undefined);
  return {
    taken: open ? undefined : jumps !== undefined,
    jumps,
    stays,
  };
};

const outcomesOf = (dst: Reg, src: Reg, op: number, is32: boolean): Outcomes => {
  if (dst.isAnyPacket && src.isAnyPacket && !is32) return { taken: packetBranchTaken(dst, src, op) };
  if (!dst.isPointer && !src.isPointer) return numberOutcomes(dst, src, op, is32);
  if (is32) return { taken: undefined };
  const [pointer, number, order] = src.kind === "scalar" && isConst(src.v) ? [dst, src, op] : [src, dst, flipOp(op)];
  if (number.kind !== "scalar" || !number.isNull || !isNotNull(pointer)) return { taken: undefined };
  return { taken: order === JmpOp.Jeq ? false : order === JmpOp.Jne ? true : undefined };
};

/** A pointer that was compared to NULL, and all that share its id: NULL is the number zero. */
const settleNull = (env: Env, state: State, reg: Reg, isNull: boolean): void => {
  const { id } = reg;
  if (isNull && reg.ref !== 0 && reg.ref === id) state.refs = state.refs.filter((ref) => ref.id !== id);
  state.replace((other) => {
    if (!other.mayBeNull || other.id !== id || id === 0) return undefined;
    if (isNull) return known(0);
    return notNull(env, other);
  });
};

/** The pointer with NULL ruled out. The id stays where it tells apart locks. */
export const notNull = (env: Env, reg: Reg): Reg => {
  const mods = reg.mods & ~Mod.Null;
  const { map } = reg;
  if (reg.kind === "map_value" && map?.inner !== undefined)
    return reg.with({ kind: "map_ptr", mods: 0, map: map.inner, mapUid: reg.id, id: 0 });
  if (reg.kind === "map_value" && map !== undefined) {
    if (map.type === MapType.Xskmap) return reg.with({ kind: "xdp_sock", mods: 0, id: 0 });
    if (map.type === MapType.Sockmap || map.type === MapType.Sockhash)
      return reg.with({ kind: "sock", mods: 0, id: 0 });
  }
  return reg.with({ mods, id: mayHoldLock(env, reg) ? reg.id : 0 });
};

const mayGoto = (env: Env): number => {
  const { insn } = env;
  if (insn.code !== (Class.Jmp | JmpOp.Jcond) || insn.src !== 0 || insn.dst !== 0 || insn.imm !== 0 || insn.off === 0)
    env.fail("EINVAL", `invalid may_goto off ${insn.off} imm ${insn.imm}`);
  const entry = findEntry(env, env.state.parent, env.pc);
  const queued = pushPath(env, env.pc + 1);
  queued.mayGotoDepth++;
  if (entry !== undefined) widen(entry, queued);
  return env.pc + 1 + insn.off;
};

/** Puts in what was learnt of two numbers, and of all that are linked to them. `srcIndex` is -1 for an immediate. */
const learn = (state: State, learnt: Learnt | undefined, dstIndex: number, srcIndex: number, src: Reg): void => {
  if (learnt === undefined) return;
  const { regs } = state.frame;
  const dst = regs[dstIndex] as Reg;
  const apply = (reg: Reg, v: Reg["v"]): Reg => {
    const to = scalar(v, dst, src);
    to.linkAs(reg);
    return to;
  };
  if (srcIndex >= 0) regs[srcIndex] = apply(src, learnt.b);
  regs[dstIndex] = apply(dst, learnt.a);
  if (srcIndex >= 0) syncLinked(state, regs[srcIndex] as Reg);
  syncLinked(state, regs[dstIndex] as Reg);
};

/** Checks a conditional jump; gives where this path goes on. The other way, where it is open, waits. */
export const checkJump = (env: Env): number => {
  const { insn } = env;
  const op = insn.code & OP_MASK;
  const is32 = (insn.code & CLASS_MASK) === Class.Jmp32;
  const usesRegister = (insn.code & Source.X) !== 0;
  if (op === JmpOp.Ja || op > JmpOp.Jcond) env.fail("EINVAL", `invalid BPF_JMP/JMP32 opcode ${op.toString(16)}`);
  if (op === JmpOp.Jcond) return mayGoto(env);
  checkReadable(env, insn.dst);
  if (usesRegister ? insn.imm !== 0 : insn.src !== 0) env.fail("EINVAL", "BPF_JMP/JMP32 uses reserved fields");
  if (usesRegister) checkReadable(env, insn.src);
  const dst = env.reg(insn.dst);
  const src = usesRegister ? env.reg(insn.src) : known(insn.imm);
  const srcIndex = usesRegister ? insn.src : -1;
  const { taken, jumps, stays } = outcomesOf(dst, src, op, is32);
  const target = env.pc + 1 + insn.off;
  if (taken !== undefined) {
    if (!dst.isPointer) markPrecise(dst);
    if (usesRegister && !src.isPointer) markPrecise(src);
    learn(env.state, taken ? jumps : stays, insn.dst, srcIndex, src);
    return taken ? target : env.pc + 1;
  }
  const other = pushPath(env, target);
  learn(other, jumps, insn.dst, srcIndex, src);
  learn(env.state, stays, insn.dst, srcIndex, src);
  if (!is32 && usesRegister && dst.isPointer && src.isPointer && dst.kind !== "ptr_" && src.kind !== "ptr_") {
    const equal = op === JmpOp.Jeq ? other : op === JmpOp.Jne ? env.state : undefined;
    if (equal !== undefined) learnEqual(env, equal, dst, src, insn.dst, insn.src);
  }
  if (!is32 && !usesRegister && insn.imm === 0 && (op === JmpOp.Jeq || op === JmpOp.Jne) && dst.mayBeNull) {
    settleNull(env, env.state, dst, op === JmpOp.Jne);
    settleNull(env, other, dst, op === JmpOp.Jeq);
  } else if (usesRegister && !is32) learnPacket(op, dst, src, insn.dst, insn.src, env.state, other);
  return env.request.jumpFirst === true ? swapPaths(env, target) : env.pc + 1;
};

/** Goes on with the path that jumps, and lets the other wait. */
const swapPaths = (env: Env, target: number): number => {
  const waiting = env.pending.pop();
  if (waiting === undefined) return env.pc + 1;
  env.pending.push({ ...waiting, state: env.state, pc: env.pc + 1 });
  env.state = waiting.state;
  return target;
};

/** A pointer that equals one that is not NULL is not NULL. */
const learnEqual = (env: Env, state: State, dst: Reg, src: Reg, dstIndex: number, srcIndex: number): void => {
  const { regs } = state.frame;
  if (isNotNull(dst) && src.mayBeNull) regs[srcIndex] = notNull(env, regs[srcIndex] as Reg);
  if (isNotNull(src) && dst.mayBeNull) regs[dstIndex] = notNull(env, regs[dstIndex] as Reg);
};
