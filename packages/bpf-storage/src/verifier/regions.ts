import type { Kfunc } from "../helpers/kfuncs.js";
import { isIterator } from "./dynptr-slots.js";
import type { Env } from "./env.js";
import { poisonIterator } from "./iterator-slots.js";
import { inTreeCallback } from "./kfunc-callee.js";
import { Mod } from "./reg.js";

/** Regions in which RCU is locked, or in which the program is not preempted. */

/** What RCU protected is not protected any more. */
export const forgetRcu = ({ state }: Env): void => {
  state.replace((reg) =>
    (reg.mods & Mod.Rcu) !== 0 ? reg.with({ mods: (reg.mods & ~(Mod.Rcu | Mod.Null)) | Mod.Untrusted }) : undefined,
  );
  for (const frame of state.frames)
    for (let k = 0; k < frame.stack.length; k++) if (isIterator(frame, k)) poisonIterator(frame, k);
};

/** Begins or ends a region, or refuses a call that may sleep in one. */
export const changeRegion = (env: Env, { name, mightSleep }: Kfunc): void => {
  const { state } = env;
  const locks = name === "bpf_rcu_read_lock";
  const unlocks = name === "bpf_rcu_read_unlock";
  if (state.rcuDepth > 0) {
    if (inTreeCallback(env) && (locks || unlocks))
      env.fail("EACCES", "Calling bpf_rcu_read_{lock,unlock} in unnecessary rbtree callback");
    if (locks) env.fail("EINVAL", `nested rcu read lock (kernel function ${name})`);
    if (unlocks) {
      state.rcuDepth--;
      forgetRcu(env);
    } else if (mightSleep) env.fail("EACCES", `kernel func ${name} is sleepable within rcu_read_lock region`);
  } else if (locks) state.rcuDepth++;
  else if (unlocks) env.fail("EINVAL", `unmatched rcu read unlock (kernel function ${name})`);
  if (name === "bpf_preempt_disable") state.preemptDepth++;
  else if (name === "bpf_preempt_enable") {
    if (state.preemptDepth === 0)
      env.fail("EINVAL", `unmatched attempt to enable preemption (kernel function ${name})`);
    state.preemptDepth--;
  } else if (state.preemptDepth > 0 && mightSleep)
    env.fail("EACCES", `kernel func ${name} is sleepable within non-preemptible region`);
};
