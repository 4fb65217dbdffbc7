import type { Env } from "./env.js";
import { unknown } from "./reg.js";

/** References: what a helper lends and the program must give back on every path. */

/** Notes a reference that the instruction acquires; gives its id. */
export const acquire = (env: Env, insn: number): number => {
  const id = env.newId();
  const callback = env.frame.callback === undefined ? 0 : env.frame.index;
  env.state.refs = [...env.state.refs, { id, insn, callback }];
  return id;
};

/** Gives a reference back: every copy of the pointer is a number like any other from now on. False where it was not held. */
export const release = (env: Env, id: number): boolean => {
  const { refs } = env.state;
  const left = refs.filter((ref) => ref.id !== id);
  if (left.length === refs.length) return false;
  env.state.refs = left;
  env.state.replace((reg) => (reg.ref === id && reg.kind !== "scalar" ? unknown() : undefined));
  return true;
};

/** Refuses the program where references are left at its end, or, of a callback, its own. `text` is said after the list. */
export const checkLeaks = (env: Env, text?: string): void => {
  const { frame } = env;
  if (frame.index > 0 && frame.callback === undefined) return;
  let lingering = false;
  for (const ref of env.state.refs) {
    if (frame.callback !== undefined && ref.callback !== frame.index) continue;
    env.say(`Unreleased reference id=${ref.id} alloc_insn=${ref.insn}`);
    lingering = true;
  }
  if (lingering) env.fail("EINVAL", text);
};
