import { prototypeOf } from "../helpers/prototypes.js";
import type { Insn } from "../isa/insn.js";
import {
  CALL,
  CallKind,
  CLASS_MASK,
  Class,
  EXIT,
  JA,
  JA32,
  JmpOp,
  LD_IMM64,
  MODE_MASK,
  Mode,
  OP_MASK,
  Pseudo,
} from "../isa/opcodes.js";
import type { Env, Subprogram } from "./env.js";
import { exceptionStart } from "./exceptions.js";
import { changesPacket, runsCallback, startsTimer } from "./helper-traits.js";
import { kfuncDefers, kfuncName, kfuncOf, kfuncRunsCallback, THROW } from "./kfunc-callee.js";
import { MAX_FRAMES, MAX_STACK } from "./state.js";

/** Subprograms, and the control flow within them: what is reached, where paths join, where states are kept. */

const TAIL_CALL = 12;
/** Most subprograms of a program. */
const MAX_SUBPROGRAMS = 256;

export const isFunctionPointer = (insn: Insn): boolean => insn.code === LD_IMM64 && insn.src === Pseudo.Func;
export const isLocalCall = (insn: Insn): boolean => insn.code === CALL && insn.src === CallKind.Local;
const isHelperCall = (insn: Insn): boolean => insn.code === CALL && insn.src === CallKind.Helper;
const isLdAbs = (insn: Insn): boolean =>
  (insn.code & CLASS_MASK) === Class.Ld && [Mode.Abs, Mode.Ind].includes((insn.code & MODE_MASK) as 0x20);
const isJump = (insn: Insn): boolean => {
  const cls = insn.code & CLASS_MASK;
  return cls === Class.Jmp || cls === Class.Jmp32;
};
const jumpTarget = (insn: Insn, at: number): number => at + 1 + (insn.code === JA32 ? insn.imm : insn.off);

const newSubprogram = (start: number): Subprogram => ({
  start,
  end: 0,
  stackDepth: 0,
  hasTailCall: false,
  hasLdAbs: false,
  isCallback: false,
  isAsyncCallback: false,
  changesPacket: false,
  mightSleep: false,
  mightThrow: false,
  info: undefined,
});

/** Finds the subprograms: the main program, and what is called or pointed to. */
export const findSubprograms = (env: Env): void => {
  const count = env.insns.length;
  const starts = new Set([0]);
  const exceptions = exceptionStart(env);
  if (exceptions !== undefined) starts.add(exceptions);
  env.insns.forEach((insn, at) => {
    if (!isFunctionPointer(insn) && !isLocalCall(insn)) return;
    const target = at + insn.imm + 1;
    if (target < 0 || target >= count) env.fail("EINVAL", "call to invalid destination");
    starts.add(target);
    if (starts.size > MAX_SUBPROGRAMS) env.fail("E2BIG", "too many subprograms");
  });
  env.subprograms = [...starts].sort((a, b) => a - b).map(newSubprogram);
  env.subprograms.forEach((subprogram, k) => {
    subprogram.end = env.subprograms[k + 1]?.start ?? count;
    if ((env.request.logLevel ?? 0) >= 2) env.say(`func#${k} @${subprogram.start}`);
  });
};

/** Jumps stay within their subprogram, which ends in a jump or an exit. */
export const checkSubprograms = (env: Env): void => {
  for (const subprogram of env.subprograms) {
    for (let at = subprogram.start; at < subprogram.end; at++) {
      const insn = env.insnAt(at);
      if (isHelperCall(insn) && insn.imm === TAIL_CALL) subprogram.hasTailCall = true;
      if (isLdAbs(insn)) subprogram.hasLdAbs = true;
      const op = insn.code & OP_MASK;
      if (isJump(insn) && op !== JmpOp.Exit && op !== JmpOp.Call) {
        const target = jumpTarget(insn, at);
        if (target < subprogram.start || target >= subprogram.end)
          env.fail("EINVAL", `jump out of range from insn ${at} to ${target}`);
      }
      if (at === subprogram.end - 1 && insn.code !== EXIT && insn.code !== JA && insn.code !== JA32)
        env.fail("EINVAL", "last insn is not an exit or jmp");
    }
  }
};

/** What a call of the kernel does that callers of the function have to know. */
const noteEffects = (env: Env, insn: Insn, subprogram: Subprogram): void => {
  if (isHelperCall(insn)) {
    if (changesPacket(insn.imm)) subprogram.changesPacket = true;
    if (prototypeOf(insn.imm)?.mightSleep === true) subprogram.mightSleep = true;
  }
  if (kfuncOf(env, insn)?.mightSleep === true) subprogram.mightSleep = true;
  if (kfuncName(env, insn) === THROW) subprogram.mightThrow = true;
};

const inheritEffects = (caller: Subprogram, callee: Subprogram): void => {
  caller.changesPacket ||= callee.changesPacket;
  caller.mightSleep ||= callee.mightSleep;
  caller.mightThrow ||= callee.mightThrow;
};

const DONE = 2;

/** Marks of the instruction itself, and where control may go from it. */
const successors = (env: Env, at: number): number[] => {
  const insn = env.insnAt(at);
  const aux = env.auxAt(at);
  const size = insn.code === LD_IMM64 ? 2 : 1;
  const prune = (pc: number): number => {
    const target = env.aux[pc];
    if (target !== undefined) {
      target.prunePoint = true;
      target.jumpPoint = true;
    }
    return pc;
  };
  if (isFunctionPointer(insn)) {
    aux.prunePoint = true;
    return [prune(at + size), prune(at + insn.imm + 1)];
  }
  if (!isJump(insn)) return [at + size];
  switch (insn.code & OP_MASK) {
    case JmpOp.Exit:
      return [];
    case JmpOp.Call: {
      const kfunc = kfuncOf(env, insn);
      const name = kfunc?.name ?? "";
      if ((isHelperCall(insn) && startsTimer(insn.imm)) || kfuncDefers(name)) aux.prunePoint = true;
      if ((isHelperCall(insn) && runsCallback(insn.imm)) || kfuncRunsCallback(name)) {
        aux.callsCallback = true;
        aux.jumpPoint = true;
        aux.checkpoint = true;
        aux.prunePoint = true;
      }
      if (kfunc?.iterator === "next") {
        aux.nextsIterator = true;
        aux.checkpoint = true;
        aux.prunePoint = true;
      }
      noteEffects(env, insn, env.subprogramOf(at));
      prune(at + 1);
      if (insn.src !== CallKind.Local) return [at + 1];
      aux.prunePoint = true;
      return [at + 1, prune(at + insn.imm + 1)];
    }
    case JmpOp.Ja:
      return [prune(jumpTarget(insn, at))];
    default:
      aux.prunePoint = true;
      if ((insn.code & OP_MASK) === JmpOp.Jcond) aux.checkpoint = true;
      return [at + 1, prune(at + 1 + insn.off)];
  }
};

/** Every instruction is reached, none in the middle of a wide one. Marks where states are compared and kept. */
export const checkFlow = (env: Env): void => {
  const count = env.insns.length;
  const marks = new Uint8Array(count);
  const path: { at: number; next: number[] }[] = [];
  const enter = (at: number): void => {
    marks[at] = 1;
    path.push({ at, next: successors(env, at) });
  };
  const walk = (start: number): void => {
    enter(start);
    for (let top = path[path.length - 1]; top !== undefined; top = path[path.length - 1]) {
      const target = top.next.shift();
      if (target === undefined) {
        marks[top.at] = DONE;
        path.pop();
        const insn = env.insnAt(top.at);
        if (isLocalCall(insn) || isFunctionPointer(insn))
          inheritEffects(env.subprogramOf(top.at), env.subprogramOf(top.at + insn.imm + 1));
        continue;
      }
      if (target < 0 || target >= count) env.fail("EINVAL", `jump out of range from insn ${top.at} to ${target}`);
      if (marks[target] === 0) enter(target);
    }
  };
  walk(0);
  const exceptions = env.subprograms[env.exceptionCallback]?.start ?? 0;
  if (marks[exceptions] === 0) walk(exceptions);
  for (let at = 0; at < count; at++) {
    if (marks[at] !== DONE) env.fail("EINVAL", `unreachable insn ${at}`);
    if (env.insnAt(at).code !== LD_IMM64) continue;
    if (marks[at + 1] !== 0) env.fail("EINVAL", `jump into the middle of ldimm64 insn ${at}`);
    at++;
  }
};

const roundedDepth = (subprogram: Subprogram): number => Math.max(32, (subprogram.stackDepth + 31) & ~31);

/** Frames of nested calls fit in 512 bytes together, and there are at most eight of them. Each chain of calls is followed. */
export const checkStackDepth = (env: Env): void => {
  /** Greatest depth below each subprogram that was found fine, by depth above it. */
  const seen = new Map<string, boolean>();
  const visit = (index: number, above: number, frames: number, callers: readonly number[]): void => {
    const subprogram = env.subprograms[index] as Subprogram;
    const inCallback = [...callers, index].some((each) => env.subprograms[each]?.isCallback === true);
    if (subprogram.hasLdAbs && inCallback) env.fail("EINVAL", "cannot use BPF_LD_[ABS|IND] within callback");
    if (index > 0 && subprogram.hasTailCall && above >= 256)
      env.fail("EACCES", `tail_calls are not allowed when call stack of previous frames is ${above} bytes. Too large`);
    const depth = above + roundedDepth(subprogram);
    if (depth > MAX_STACK) env.fail("EACCES", `combined stack size of ${frames} calls is ${depth}. Too large`);
    const key = `${index} ${depth} ${frames} ${inCallback}`;
    if (seen.has(key)) return;
    seen.set(key, true);
    for (let at = subprogram.start; at < subprogram.end; at++) {
      const insn = env.insnAt(at);
      if (inCallback && kfuncName(env, insn) === THROW)
        env.fail("EINVAL", `bpf_throw kfunc (insn ${at}) cannot be called from callback subprog ${index}`);
      if (!isLocalCall(insn) && !isFunctionPointer(insn)) continue;
      const callee = env.subprogramAt(at + insn.imm + 1);
      if (env.subprograms[callee]?.isAsyncCallback === true && !isLocalCall(insn)) continue;
      if (callee === env.exceptionCallback && callee > 0)
        env.fail("EINVAL", `insn ${at} cannot call exception cb directly`);
      if (frames >= MAX_FRAMES) env.fail("E2BIG", `the call stack of ${frames} frames is too deep !`);
      visit(callee, depth, frames + 1, [...callers, index]);
    }
  };
  visit(0, 0, 1, []);
  env.subprograms.forEach((subprogram, index) => {
    if (subprogram.isAsyncCallback) visit(index, 0, 1, []);
  });
};
