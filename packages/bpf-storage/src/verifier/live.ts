import { helperFor } from "../helpers/prototypes.js";
import type { Insn } from "../isa/insn.js";
import {
  AluOp,
  Atomic,
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
  Source,
} from "../isa/opcodes.js";
import type { Env } from "./env.js";
import { kfuncArity } from "./kfunc-callee.js";

/**
 * Which registers some path from each instruction may still read: found once, from the control flow alone. When states are compared, a
 * register that nothing reads any more does not count.
 */

const bit = (index: number): number => 1 << index;
const CALLER_SAVED = 0b11_1111;
const ARGUMENTS = 0b11_1110;

interface Effect {
  readonly reads: number;
  readonly writes: number;
}

const ofAlu = (insn: Insn): Effect => {
  const op = insn.code & OP_MASK;
  const src = (insn.code & Source.X) !== 0 && op !== AluOp.End ? bit(insn.src) : 0;
  return { reads: op === AluOp.Mov ? src : src | bit(insn.dst), writes: bit(insn.dst) };
};

const ofAtomic = (insn: Insn): Effect => ({
  reads: bit(insn.dst) | bit(insn.src) | (insn.imm === Atomic.Cmpxchg ? bit(0) : 0),
  writes: 0,
});

const ofCall = (env: Env, insn: Insn, at: number, live: Uint16Array): Effect => {
  if (insn.src === CallKind.Local) return { reads: (live[at + 1 + insn.imm] ?? 0) & ARGUMENTS, writes: CALLER_SAVED };
  if (insn.src === CallKind.Kfunc) return { reads: (2 << kfuncArity(env, insn)) - 2, writes: CALLER_SAVED };
  const prototype = insn.src === CallKind.Helper ? helperFor(env.type, insn.imm, env.attachType) : undefined;
  const count = prototype?.args.length ?? 5;
  return { reads: (2 << count) - 2, writes: CALLER_SAVED };
};

const effectOf = (env: Env, at: number, live: Uint16Array): Effect => {
  const insn = env.insnAt(at);
  switch (insn.code & CLASS_MASK) {
    case Class.Alu:
    case Class.Alu64:
      return ofAlu(insn);
    case Class.Ldx:
      return { reads: bit(insn.src), writes: bit(insn.dst) };
    case Class.St:
      return { reads: bit(insn.dst), writes: 0 };
    case Class.Stx:
      return (insn.code & MODE_MASK) === Mode.Atomic
        ? ofAtomic(insn)
        : { reads: bit(insn.dst) | bit(insn.src), writes: 0 };
    case Class.Ld:
      if (insn.code === LD_IMM64) return { reads: 0, writes: bit(insn.dst) };
      return { reads: bit(6) | ((insn.code & MODE_MASK) === Mode.Ind ? bit(insn.src) : 0), writes: CALLER_SAVED };
    default:
      if (insn.code === CALL) return ofCall(env, insn, at, live);
      if (insn.code === EXIT) return { reads: bit(0), writes: 0 };
      if (insn.code === JA || insn.code === JA32) return { reads: 0, writes: 0 };
      return { reads: bit(insn.dst) | ((insn.code & Source.X) !== 0 ? bit(insn.src) : 0), writes: 0 };
  }
};

const liveAfter = (env: Env, at: number, live: Uint16Array): number => {
  const insn = env.insnAt(at);
  if (insn.code === EXIT) return 0;
  if (insn.code === JA) return live[at + 1 + insn.off] ?? 0;
  if (insn.code === JA32) return live[at + 1 + insn.imm] ?? 0;
  const next = live[at + (insn.code === LD_IMM64 ? 2 : 1)] ?? 0;
  const cls = insn.code & CLASS_MASK;
  const isBranch = (cls === Class.Jmp || cls === Class.Jmp32) && (insn.code & OP_MASK) !== JmpOp.Call;
  return isBranch ? next | (live[at + 1 + insn.off] ?? 0) : next;
};

/** Registers that may be read from before each instruction on, as bits. */
export const liveRegisters = (env: Env): Uint16Array => {
  const count = env.insns.length;
  const live = new Uint16Array(count + 1);
  const order: number[] = [];
  for (let at = 0; at < count; at += env.insnAt(at).code === LD_IMM64 ? 2 : 1) order.push(at);
  for (let changed = true; changed; ) {
    changed = false;
    for (let k = order.length - 1; k >= 0; k--) {
      const at = order[k] as number;
      const { reads, writes } = effectOf(env, at, live);
      const before = reads | (liveAfter(env, at, live) & ~writes);
      if (before === live[at]) continue;
      live[at] = before;
      changed = true;
    }
  }
  return live;
};
