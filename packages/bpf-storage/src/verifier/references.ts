import type { Env } from "./env.js";
import { unknown } from "./reg.js";

/** References: what a helper lends and the program must give back on every path. */

const ownFrame = (env: Env): number => (env.frame.callback === undefined ? 0 : env.frame.index);

/** Notes a reference that the instruction acquires; gives its id. */
export const acquire = (env: Env, insn: number): number => {
  const id = env.newId();
  env.state.refs = [...env.state.refs, { id, insn, callback: ownFrame(env) }];
  return id;
};

/** Gives back a reference, but leaves pointers as they are. False where it was not held, or is held by who called the callback. */
export const forgetReference = (env: Env, id: number): boolean => {
  const { refs } = env.state;
  const held = refs.find((ref) => ref.id === id);
  if (held === undefined || (env.frame.callback !== undefined && held.callback !== env.frame.index)) return false;
  env.state.refs = refs.filter((ref) => ref !== held);
  return true;
};

/** Gives a reference back: every copy of the pointer is a number like any other from now on. False where it was not held. */
export const release = (env: Env, id: number): boolean => {
  if (!forgetReference(env, id)) return false;
  env.state.replace((reg) => (reg.ref === id && reg.kind !== "scalar" ? unknown() : undefined));
  return true;
};

/** Refuses the program where references are left at its end, or, of a callback, its own. `text` is said after the list. */
export const checkLeaks = (env: Env, text?: string, throws = false): void => {
  const { frame } = env;
  if (!throws && frame.index > 0 && frame.callback === undefined) return;
  let lingering = false;
  for (const ref of env.state.refs) {
    if (!throws && frame.callback !== undefined && ref.callback !== frame.index) continue;
    env.say(`Unreleased reference id=${ref.id} alloc_insn=${ref.insn}`);
    lingering = true;
  }
  if (lingering) env.fail("EINVAL", text);
};
