import type { Exit, Vcpu } from "@vm/cpu";

/** Who runs the guest of a machine that must not see it. */
export interface Hypervisor {
  /** Runs a processor for at most `budget` instructions, and returns soon once its slice `ends`. */
  enter(vcpu: Vcpu, budget: number, ends: () => boolean): Exit;
  /** What the processor that was just run waits for: then it goes on. Null: for nothing. */
  waiting(vcpu: Vcpu): Promise<void> | null;
}
