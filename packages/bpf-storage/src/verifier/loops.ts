import { liveOf } from "./compare.js";
import type { Env } from "./env.js";
import { markPrecise, type Reg } from "./reg.js";
import { type BackEdge, isSpill, type State } from "./state.js";

/**
 * Which checkpoints are in loops, and what is known of them when. A path that ends where another one had been needs what that one needs;
 * of a state whose paths are not all at their end that is not known yet, nor of one from which paths lead back to such a state. While its
 * loop is open, a state is compared in full; when the loop is closed, what is needed goes round it until nothing is new
 * (verifier.c: get_loop_entry, update_loop_entry; later kernels: propagate_backedges).
 */

/** Ends in one loop that are remembered; paths that end later are taken to need everything. */
const MOST_EDGES = 4096;
/** Rounds in which what is needed goes along all ends of a loop; what is still new then is taken to be everything. */
const MOST_ROUNDS = 64;

/** A path leads from `state` to `to`: where that, or what its loop begins with, is on the way to `state`, both are in one loop. */
const lead = (state: State, to: State): void => {
  const own = state.loop() ?? state;
  const entry = to.loop() ?? to;
  if (entry.branches > 0 && entry.depth <= own.depth) state.loopEntry = entry;
};

/** What was read, and what decisions rested on, on the paths from `old` holds for `now` too. Whether that is new. */
export const inherit = (env: Env, { old, now, pc }: BackEdge): boolean => {
  let isNew = false;
  const mark = (reg: Reg): void => {
    if (reg.kind !== "scalar" || reg.precise) return;
    markPrecise(reg);
    isNew = true;
  };
  old.frames.forEach((was, index) => {
    const is = now.frames[index];
    if (is === undefined) return;
    const live = liveOf(env, old, index, pc);
    for (let k = 0; k < 10; k++) if ((live & (1 << k)) !== 0 && (was.regs[k] as Reg).precise) mark(is.regs[k] as Reg);
    was.stack.forEach((slot, at) => {
      if (!was.isRead(at)) return;
      if (now.markRead(index, at)) isNew = true;
      const mine = is.stack[at];
      if (isSpill(mine) && isSpill(slot) && slot.reg.precise) mark(mine.reg);
    });
  });
  return isNew;
};

/** Everything is needed. */
const needAll = ({ now }: BackEdge): void => {
  now.frames.forEach((frame, index) => {
    for (let k = 0; k < 10; k++) markPrecise(frame.regs[k] as Reg);
    frame.stack.forEach((slot, at) => {
      now.markRead(index, at);
      if (isSpill(slot)) markPrecise(slot.reg);
    });
  });
};

/** The path ends at `old`, which covers it; that one is open, or in a loop that is. */
export const endInLoop = (env: Env, old: State, pc: number): void => {
  const edge = { old, now: env.state, pc };
  inherit(env, edge);
  lead(env.state, old);
  const entry = env.state.loop();
  if (entry === undefined || entry.backEdges.length >= MOST_EDGES) needAll(edge);
  else entry.backEdges.push(edge);
};

/** Nothing leads into the loop any more: what its states need goes along all ends. */
const settle = (env: Env, edges: readonly BackEdge[]): void => {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    let isNew = false;
    for (const edge of edges) if (inherit(env, edge)) isNew = true;
    if (!isNew) return;
  }
  edges.forEach(needAll);
};

/** All paths of a checkpoint are at their end. */
const close = (env: Env, state: State): void => {
  const { backEdges: edges } = state;
  if (edges.length === 0) return;
  state.backEdges = [];
  const entry = state.loop();
  if (entry === undefined || entry.branches === 0) settle(env, edges);
  else for (const edge of edges) entry.backEdges.push(edge);
};

/** The path at hand is at its end; checkpoints none of whose paths is open are closed. */
export const endPath = (env: Env): void => {
  let below = env.state;
  for (let at = below.parent; at !== undefined; at = at.parent) {
    if (below.loopEntry !== undefined) lead(at, below.loopEntry);
    at.branches--;
    if (at.branches > 0) return;
    close(env, at);
    below = at;
  }
};
