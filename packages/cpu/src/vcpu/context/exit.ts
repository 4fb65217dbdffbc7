import type { Gfn } from "../../units.js";

/** Why `Vcpu.run` returned, named as KVM's exit reasons. */
export type Exit =
  /** The budget is used up. */
  | { readonly reason: "budget" }
  /** HLT: nothing to do until an interrupt. */
  | { readonly reason: "hlt" }
  /** Triple fault. */
  | { readonly reason: "shutdown" }
  /** Not started yet: waits for INIT and SIPI. */
  | { readonly reason: "wait-for-sipi" }
  /** Someone asked with `kick`. */
  | { readonly reason: "kicked" }
  /** Access to a page that is withheld; `access` as licence bits. */
  | { readonly reason: "memory-fault"; readonly gfn: Gfn; readonly access: number }
  /** A hook called `leave`: the instruction is not done, and starts over with the next `run`. */
  | { readonly reason: "intercepted" };
