import type { Env } from "./env.js";
import { checkLeaks } from "./references.js";

/** The end of the program, by its exit or by an exception: nothing may be held then. */

/** What must be given back before the program ends, or throws. */
export const checkRegions = (env: Env, throws: boolean): void => {
  const { lock, rcuDepth, preemptDepth } = env.state;
  const thrown = (region: string): string => `bpf_throw cannot be used inside ${region}-ed region`;
  if (lock !== undefined) env.fail("EINVAL", throws ? thrown("bpf_spin_lock") : "bpf_spin_unlock is missing");
  if (rcuDepth > 0) env.fail("EINVAL", throws ? thrown("bpf_rcu_read_lock") : "bpf_rcu_read_unlock is missing");
  if (preemptDepth === 0) return;
  const missing = `${preemptDepth} bpf_preempt_enable${preemptDepth === 1 ? " is" : "(s) are"} missing`;
  env.fail("EINVAL", throws ? thrown("bpf_preempt_disable") : missing);
};

/** The end of a path by an exception: all functions end, and nothing may be held in any of them. */
export const checkThrow = (env: Env): void => {
  checkRegions(env, true);
  checkLeaks(env, undefined, true);
};
