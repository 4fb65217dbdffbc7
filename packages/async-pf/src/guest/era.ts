/**
 * Which Linux the guest is.
 * - `before`: as the patch "x86/kvm: Restrict ASYNC_PF to user space" of 2020-05-05 found it; what waits and wakes is that of Linux up to 5.7.
 * - `seed`: with that patch.
 * - `after`: 5.8 and later, where the page that is there is told by an interrupt.
 */
export type Era = "before" | "seed" | "after";

/** In what they differ. */
export interface EraRules {
  /** How the guest learns that a page is there: a second #PF whose token is in CR2, or an interrupt whose token is in the area. */
  readonly ready: "page-fault" | "interrupt";
  /** A #PF for the host's sake in kernel mode: waits, by HLT where it cannot sleep, or ends the guest. */
  readonly kernelMode: "wait" | "panic";
}

export const ERAS: Readonly<Record<Era, EraRules>> = {
  before: { ready: "page-fault", kernelMode: "wait" },
  seed: { ready: "page-fault", kernelMode: "panic" },
  after: { ready: "interrupt", kernelMode: "panic" },
};
