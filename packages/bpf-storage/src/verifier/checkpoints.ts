import { statesMatch } from "./compare.js";
import type { Env } from "./env.js";
import { endInLoop, inherit } from "./loops.js";
import { type Reg, scalar } from "./reg.js";
import { isSpill, type State } from "./state.js";

/** States that are kept where paths join, so that a path that brings nothing new ends there. */

/** Jumps, spills and fills on a path after which a state is kept in any case. */
const LONG_PATH = 40;

interface Kept {
  readonly state: State;
  hits: number;
  misses: number;
}

/** Ids that more than one number has; null where no number has one, as in most states. Another id links to nothing. */
const sharedIds = (state: State): ReadonlySet<number> | null => {
  let once: Set<number> | null = null;
  let more: Set<number> | null = null;
  const count = (reg: Reg): void => {
    if (reg.kind !== "scalar" || reg.id === 0) return;
    once ??= new Set();
    if (!once.has(reg.id)) {
      once.add(reg.id);
      return;
    }
    more ??= new Set();
    more.add(reg.id);
  };
  for (const frame of state.frames) {
    for (let k = 0; k < 10; k++) count(frame.regs[k] as Reg);
    for (const slot of frame.stack) if (isSpill(slot)) count(slot.reg);
  }
  return more;
};

/**
 * Gives every number a new object, made from the old one: marks from here on reach the checkpoint, and through it what was before. An id that
 * only one number has is forgotten.
 */
const renew = (state: State): void => {
  const shared = sharedIds(state);
  state.replace((reg) => {
    if (reg.kind !== "scalar") return undefined;
    const to = scalar(reg.v, reg);
    if (shared?.has(reg.id) === true) to.linkAs(reg);
    return to;
  });
};

const keep = (env: Env, pc: number): void => {
  const { state } = env;
  renew(state);
  const kept = state.copy();
  kept.pc = pc;
  kept.branches = 1;
  state.parent = kept;
  state.depth = kept.depth + 1;
  state.steps = 0;
  for (const frame of state.frames) frame.writtenLow = frame.writtenHigh = 0;
  const place = env.place(pc, state.frame);
  const list = env.explored.get(place);
  const entry: Kept = { state: kept, hits: 0, misses: 0 };
  if (list === undefined) env.explored.set(place, [entry]);
  else list.unshift(entry);
  env.states++;
  env.currentStates++;
  env.peakStates = Math.max(env.peakStates, env.currentStates);
};

const endless = (env: Env, pc: number): never => {
  env.say(`infinite loop detected at insn ${pc}`);
  return env.fail("EINVAL");
};

type Outcome = "covered" | "miss";

/** Compares with an old state whose paths are still open: the path goes round a loop. */
const compareOpen = (env: Env, old: State, pc: number): Outcome => {
  const { state } = env;
  const aux = env.auxAt(pc);
  const converges = aux.callsCallback || (env.insnAt(pc).code === 0xe5 && old.mayGotoDepth !== state.mayGotoDepth);
  if (converges && statesMatch(env, old, state, pc, "within")) {
    endInLoop(env, old, pc);
    return "covered";
  }
  // A timer's function that starts the timer again is another run, not a loop.
  if (aux.callsCallback || old.asyncEntry !== state.asyncEntry) return "miss";
  const sameRound = old.mayGotoDepth === state.mayGotoDepth && old.callbackDepth === state.callbackDepth;
  if (sameRound && statesMatch(env, old, state, pc, "same")) return endless(env, pc);
  return "miss";
};

const compareDone = (env: Env, old: State, pc: number): Outcome => {
  const { incomplete: loops } = old;
  if (!statesMatch(env, old, env.state, pc, loops ? "within" : "needed")) return "miss";
  if (loops) endInLoop(env, old, pc);
  else inherit(env, { old, now: env.state, pc });
  return "covered";
};

/**
 * At a place where paths join: true where an earlier path covers this one, which then ends. Else the state may be kept for later ones.
 */
export const isCovered = (env: Env, pc: number): boolean => {
  const { state } = env;
  const aux = env.auxAt(pc);
  const list = env.explored.get(env.place(pc, state.frame));
  const forced = aux.checkpoint || state.steps > LONG_PATH;
  let add = forced || (env.jumps - env.lastJumps >= 2 && env.processed - env.lastProcessed >= 8);
  if (list !== undefined) {
    for (let k = 0; k < list.length; k++) {
      const entry = list[k] as Kept;
      const open = entry.state.branches > 0;
      const outcome = open ? compareOpen(env, entry.state, pc) : compareDone(env, entry.state, pc);
      if (outcome === "covered") {
        entry.hits++;
        return true;
      }
      if (open && !forced && env.jumps - env.lastJumps < 20 && env.processed - env.lastProcessed < 100) add = false;
      if (!add) continue;
      entry.misses++;
      const patience = aux.checkpoint && open ? 64 : 3;
      if (entry.misses <= entry.hits * patience + patience) continue;
      // It has not covered anything for long: forget it.
      list.splice(k, 1);
      env.currentStates--;
      k--;
    }
    env.maxStatesPerInsn = Math.max(env.maxStatesPerInsn, list.length);
  }
  if (!add) return false;
  env.lastJumps = env.jumps;
  env.lastProcessed = env.processed;
  keep(env, pc);
  return false;
};
