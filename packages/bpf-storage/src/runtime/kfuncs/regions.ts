import type { KfuncEntry } from "./types.js";

/** One program runs at a time, and nothing that it reads goes away meanwhile: there is nothing to be kept out. */
const nothing = (name: string): KfuncEntry => ({ name, call: () => undefined });

/** Kfuncs that begin and end regions (kernel/bpf/helpers.c); that they nest as they should is the verifier's matter. */
export const REGION_KFUNCS: readonly KfuncEntry[] = [
  nothing("bpf_rcu_read_lock"),
  nothing("bpf_rcu_read_unlock"),
  nothing("bpf_preempt_disable"),
  nothing("bpf_preempt_enable"),
];
