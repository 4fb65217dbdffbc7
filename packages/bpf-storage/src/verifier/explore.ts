import type { Insn } from "../isa/insn.js";
import {
  Atomic,
  accessSize,
  CALL,
  CallKind,
  CLASS_MASK,
  Class,
  EXIT,
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
import { ProgramType } from "../uapi/program-types.js";
import type { Work } from "../work.js";
import { callLocal } from "./callbacks.js";
import { checkAlu } from "./check-alu.js";
import { checkHelperCall } from "./check-call.js";
import { checkExit } from "./check-exit.js";
import { checkJump, pushPath } from "./check-jump.js";
import { checkKfuncCall } from "./check-kfunc.js";
import { type Access, accessMemory, notePointer } from "./check-mem.js";
import { isCovered } from "./checkpoints.js";
import { liveOf } from "./compare.js";
import { disassemble } from "./disassemble.js";
import { checkReadable, checkWritable, type Env, MAX_PROCESSED } from "./env.js";
import { globalStart } from "./global-functions.js";
import { Helper } from "./helper-traits.js";
import { Int64 } from "./int64.js";
import { isActive } from "./iterators.js";
import { kfuncName, mayHoldLockDuring, THROW } from "./kfunc-callee.js";
import { endPath } from "./loops.js";
import { checkUnmodified } from "./memory.js";
import { checkLeaks } from "./references.js";
import { known, pointer, regTypeName, scalar, UNINIT, unknown } from "./reg.js";
import { constant } from "./scalar.js";
import { Frame, State } from "./state.js";
import { stateText } from "./state-text.js";
import { checkThrow } from "./throwing.js";

/** Follows every path of the program, one after the other, until each has ended. */

/** Instructions that are verified without a stop, some microseconds each. */
const STRETCH = 256;

const load = (env: Env): void => {
  const { insn } = env;
  checkReadable(env, insn.src);
  checkWritable(env, insn.dst);
  const from = env.reg(insn.src);
  accessMemory(env, {
    index: insn.src,
    off: insn.off,
    size: accessSize(insn.code),
    isWrite: false,
    value: insn.dst,
    immediate: undefined,
    strict: false,
    signExtends: (insn.code & MODE_MASK) === Mode.MemSx,
  });
  notePointer(env, from, true);
};

/** The store of a register (-1 for none) or an immediate to where the instruction says. */
const storeTo = (insn: Insn, value: number, immediate: number | undefined, strict: boolean): Access => ({
  index: insn.dst,
  off: insn.off,
  size: accessSize(insn.code),
  isWrite: true,
  value,
  immediate,
  strict,
  signExtends: false,
});

const store = (env: Env): void => {
  const { insn } = env;
  if ((insn.code & MODE_MASK) !== Mode.Mem || insn.imm !== 0) env.fail("EINVAL", "BPF_STX uses reserved fields");
  checkReadable(env, insn.src);
  checkReadable(env, insn.dst);
  const to = env.reg(insn.dst);
  accessMemory(env, storeTo(insn, insn.src, undefined, false));
  notePointer(env, to, false);
};

const storeImmediate = (env: Env): void => {
  const { insn } = env;
  if ((insn.code & MODE_MASK) !== Mode.Mem || insn.src !== 0) env.fail("EINVAL", "BPF_ST uses reserved fields");
  checkReadable(env, insn.dst);
  const to = env.reg(insn.dst);
  accessMemory(env, storeTo(insn, -1, insn.imm, false));
  notePointer(env, to, false);
};

const ATOMICS: readonly number[] = [
  ...[Atomic.Add, Atomic.Or, Atomic.And, Atomic.Xor].flatMap((op) => [op, op | Atomic.Fetch]),
  ...[Atomic.Xchg, Atomic.Cmpxchg],
];

const atomic = (env: Env): void => {
  const { insn } = env;
  if (!ATOMICS.includes(insn.imm))
    env.fail("EINVAL", `BPF_ATOMIC uses invalid atomic opcode ${(insn.imm >>> 0).toString(16).padStart(2, "0")}`);
  const size = insn.code & SIZE_MASK;
  if (size !== Size.W && size !== Size.Dw) env.fail("EINVAL", "invalid atomic operand size");
  checkReadable(env, insn.src);
  checkReadable(env, insn.dst);
  if (insn.imm === Atomic.Cmpxchg) checkReadable(env, 0);
  const to = env.reg(insn.dst);
  if (
    to.kind === "ctx" ||
    to.isPacket ||
    to.kind === "flow_keys" ||
    ["sock", "sock_common", "tcp_sock", "xdp_sock"].includes(to.kind)
  )
    env.fail("EACCES", `BPF_ATOMIC stores into R${insn.dst} ${regTypeName(to)} is not allowed`);
  const loads = (insn.imm & Atomic.Fetch) !== 0;
  const result = insn.imm === Atomic.Cmpxchg ? 0 : insn.src;
  if (loads) checkWritable(env, result);
  const access = storeTo(insn, -1, undefined, true);
  accessMemory(env, { ...access, isWrite: false });
  if (loads) {
    // The old value takes the place of what was there, which may be the address: such an instruction is refused.
    env.set(result, unknown());
    accessMemory(env, { ...access, isWrite: false, value: result });
  }
  accessMemory(env, access);
  notePointer(env, to, false);
};

const loadWide = (env: Env): void => {
  const { insn, pc } = env;
  if (insn.off !== 0) env.fail("EINVAL", "BPF_LD_IMM64 uses reserved fields");
  checkWritable(env, insn.dst);
  const high = env.insnAt(pc + 1).imm;
  if (insn.src === 0) {
    env.set(insn.dst, scalar(constant(new Int64(insn.imm, high))));
    return;
  }
  const { map, mapOffset, symbol } = env.auxAt(pc);
  if (symbol !== undefined) {
    env.set(insn.dst, symbol);
    return;
  }
  if (insn.src === Pseudo.Func) {
    const index = env.subprogramAt(pc + 1 + insn.imm);
    const info = env.subprograms[index]?.info;
    if (info === undefined) env.fail("EINVAL", "missing btf func_info");
    if (info.linkage !== "static") env.fail("EINVAL", "callback function not static");
    if (index === 0) env.fail("EINVAL", "callback function cannot be the main program");
    env.set(insn.dst, pointer("func", { subprog: index }));
    return;
  }
  if (insn.src === Pseudo.MapValue) env.set(insn.dst, pointer("map_value", { map, off: mapOffset }));
  else env.set(insn.dst, pointer("map_ptr", { map }));
};

const SKB_READERS: readonly ProgramType[] = [ProgramType.SocketFilter, ProgramType.SchedCls, ProgramType.SchedAct];

/** LD_ABS and LD_IND: loads of the packet by way of R6; outside of it, the function returns. */
const loadPacket = (env: Env): number | undefined => {
  const { insn, state } = env;
  if (!SKB_READERS.includes(env.type))
    env.fail("EINVAL", "BPF_LD_[ABS|IND] instructions not allowed for this program type");
  if (state.frames.some((frame) => frame.callback !== undefined))
    env.fail("EINVAL", "cannot use BPF_LD_[ABS|IND] within callback");
  const isIndirect = (insn.code & MODE_MASK) === Mode.Ind;
  if (insn.dst !== 0 || insn.off !== 0 || (insn.code & SIZE_MASK) === Size.Dw || (!isIndirect && insn.src !== 0))
    env.fail("EINVAL", "BPF_LD_[ABS|IND] uses reserved fields");
  const context = checkReadable(env, 6);
  checkLeaks(env, "BPF_LD_[ABS|IND] cannot be mixed with socket references");
  if (state.lock !== undefined) env.fail("EINVAL", "BPF_LD_[ABS|IND] cannot be used inside bpf_spin_lock-ed region");
  if (state.rcuDepth > 0) env.fail("EINVAL", "BPF_LD_[ABS|IND] cannot be used inside bpf_rcu_read_lock-ed region");
  if (context.kind !== "ctx") env.fail("EINVAL", "at the time of BPF_LD_ABS|IND R6 != pointer to skb");
  if (isIndirect) checkReadable(env, insn.src);
  checkUnmodified(env, context, 6);
  for (let k = 1; k < 6; k++) env.set(k, UNINIT);
  env.set(0, unknown());
  if (state.frames.length === 1) return undefined;
  // In a function, a load outside of the packet returns 0 from it.
  pushPath(env, env.pc + 1);
  env.set(0, known(0));
  return checkExit(env);
};

/** Calls that may be made while a lock is held. */
const mayCallLocked = (env: Env): boolean => {
  const { insn } = env;
  if (insn.src === CallKind.Helper) return insn.imm === Helper.spinUnlock;
  return insn.src === CallKind.Local || mayHoldLockDuring(kfuncName(env, insn));
};

const call = (env: Env): number | undefined => {
  const { insn } = env;
  const kinds: readonly number[] = [CallKind.Helper, CallKind.Local, CallKind.Kfunc];
  if ((insn.src !== CallKind.Kfunc && insn.off !== 0) || !kinds.includes(insn.src) || insn.dst !== 0)
    env.fail("EINVAL", "BPF_CALL uses reserved fields");
  if (env.state.lock !== undefined && !mayCallLocked(env))
    env.fail("EINVAL", "function calls are not allowed while holding a lock");
  if (insn.src === CallKind.Local) return callLocal(env);
  if (insn.src === CallKind.Helper) {
    checkHelperCall(env);
    return env.pc + 1;
  }
  checkKfuncCall(env);
  if (kfuncName(env, insn) !== THROW) return env.pc + 1;
  checkThrow(env);
  return undefined;
};

/** One instruction; gives the next on this path, or nothing where the path ends. */
const step = (env: Env): number | undefined => {
  const { insn, pc } = env;
  switch (insn.code & CLASS_MASK) {
    case Class.Alu:
    case Class.Alu64:
      checkAlu(env);
      return pc + 1;
    case Class.Ldx:
      load(env);
      return pc + 1;
    case Class.Stx:
      if ((insn.code & MODE_MASK) === Mode.Atomic) atomic(env);
      else store(env);
      return pc + 1;
    case Class.St:
      storeImmediate(env);
      return pc + 1;
    case Class.Ld:
      if (insn.code === LD_IMM64) {
        loadWide(env);
        return pc + 2;
      }
      return loadPacket(env) ?? pc + 1;
    default:
      return jump(env);
  }
};

const jump = (env: Env): number | undefined => {
  const { insn, pc } = env;
  const is32 = (insn.code & CLASS_MASK) === Class.Jmp32;
  env.jumps++;
  switch (insn.code & OP_MASK) {
    case JmpOp.Call:
      if (insn.code !== CALL) env.fail("EINVAL", "BPF_CALL uses reserved fields");
      return call(env);
    case JmpOp.Exit:
      if (insn.code !== EXIT || insn.imm !== 0 || insn.src !== 0 || insn.dst !== 0)
        env.fail("EINVAL", "BPF_EXIT uses reserved fields");
      return checkExit(env);
    case JmpOp.Ja:
      if ((insn.code & Source.X) !== 0 || insn.src !== 0 || insn.dst !== 0 || (is32 ? insn.off : insn.imm) !== 0)
        env.fail("EINVAL", "BPF_JA uses reserved fields");
      return pc + 1 + (is32 ? insn.imm : insn.off);
    default:
      return checkJump(env);
  }
};

const nextPending = (env: Env): boolean => {
  const next = env.pending.pop();
  if (next === undefined) return false;
  if ((env.request.logLevel ?? 0) < 2) env.cutLog(next.log);
  env.state = next.state;
  env.pc = next.pc;
  if ((env.request.logLevel ?? 0) >= 2) env.say(`\nfrom ${next.previous} to ${next.pc}:${stateText(env.state.frame)}`);
  return true;
};

/** What the main program starts with. */
const startState = (): State => {
  const state = new State();
  const frame = new Frame(0, -1, 0);
  frame.regs[1] = pointer("ctx");
  state.frames = [frame];
  return state;
};

/** Verifies all paths of the main program and of the global functions it calls. @throws {Rejection} where one does what it may not */
export function* explore(env: Env): Work<void> {
  yield* follow(env, startState(), 0);
  if (env.exceptionCallback !== 0) env.calledGlobals.add(env.exceptionCallback);
  const done = new Set<number>();
  for (let more = true; more; ) {
    more = false;
    for (const index of [...env.calledGlobals]) {
      if (done.has(index)) continue;
      done.add(index);
      more = true;
      env.explored.clear();
      yield* follow(env, globalStart(env, index), env.subprograms[index]?.start ?? 0);
    }
  }
}

function* follow(env: Env, start: State, pc: number): Work<void> {
  const level = env.request.logLevel ?? 0;
  env.state = start;
  env.pc = pc;
  for (;;) {
    if (env.pc < 0 || env.pc >= env.insns.length)
      env.fail("EFAULT", `invalid insn idx ${env.pc} insn_cnt ${env.insns.length}`);
    if (++env.processed > MAX_PROCESSED) env.fail("E2BIG", `BPF program is too large. Processed ${env.processed} insn`);
    if (env.processed % STRETCH === 0) yield;
    const aux = env.auxAt(env.pc);
    let next: number | undefined;
    // An iterator that has elements left converges as a callback does; one that has none does not end a loop.
    if (aux.nextsIterator) aux.callsCallback = isActive(env);
    if (aux.prunePoint && env.request.prune !== false && isCovered(env, env.pc)) {
      if (level > 0) env.say(`${env.pc}: safe`);
    } else {
      aux.seen = true;
      env.stepNoted = false;
      if (aux.jumpPoint) env.noteStep();
      if (level > 0) env.say(`${env.pc}: ${disassemble(env.insn, env.insns[env.pc + 1])}`);
      env.request.observe?.(env.pc, env.state, (frame) => liveOf(env, env.state, frame, env.pc));
      next = step(env);
    }
    if (next !== undefined) {
      env.pc = next;
      continue;
    }
    endPath(env);
    if (!nextPending(env)) return;
  }
}
