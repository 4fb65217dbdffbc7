import type { Exit } from "@vm/cpu";
import { ExitFlag, type Gfn } from "@vm/mmu";

/**
 * Why a machine ended. The processor's own reasons are named as in `@vm/cpu` and KVM; `vcpu` is the index of the processor that
 * caused it.
 */
export type MachineExit =
  /** The guest entered S5. `status` is the byte it wrote to the exit-status port, null if it wrote none. */
  | { readonly reason: "power-off"; readonly status: number | null }
  /** The guest wrote `code` to the debug-exit port of a machine with test devices. */
  | { readonly reason: "debug-exit"; readonly code: number }
  /** The guest wrote to the reset register. */
  | { readonly reason: "reset" }
  /** Triple fault. */
  | { readonly reason: "shutdown"; readonly vcpu: number }
  /** Every processor is halted with interrupts off: nothing will ever run again. */
  | { readonly reason: "halted" }
  /**
   * A page was touched that a plugin withholds, or memory of a kind that is not there, and no plugin handled it; `access` as bits of `Licence` and
   * `ExitFlag` of `@vm/mmu`.
   */
  | { readonly reason: "memory-fault"; readonly vcpu: number; readonly gfn: Gfn; readonly access: number }
  /** The guest of a TD gives up (TDVMCALL ReportFatalError): its error code, and up to 64 characters of what it says. */
  | { readonly reason: "fatal-error"; readonly vcpu: number; readonly code: number; readonly message: string }
  /** The machine cannot go on: the guest left what is emulated, or a hook, a device or a timer threw `error`. */
  | { readonly reason: "internal-error"; readonly vcpu: number | null; readonly error: unknown }
  /** `Machine.stop()` was called. */
  | { readonly reason: "stopped" };

/**
 * An exit of one processor, as `MachineHandle.exits` reports it. Slices that merely end are not exits. An `intercepted` one that
 * nobody handles starts its instruction over.
 */
export type VcpuExit = Exclude<Exit, { readonly reason: "budget" | "kicked" }>;

/** Whether the processor only waits until the host has memory for it. */
export function isWait(exit: Exit | null): boolean {
  return exit?.reason === "memory-fault" && (exit.access & ExitFlag.Retry) !== 0;
}

/**
 * Whether a slice ended for a reason that is none of the guest's: the host's, or that someone is asked about an instruction.
 * @param sooner its budget was made smaller, for the guest to stand still there
 */
export function isCutShort(exit: Exit | null, sooner: boolean): boolean {
  if (exit?.reason === "budget") return sooner;
  return exit?.reason === "kicked" || exit?.reason === "intercepted" || isWait(exit);
}
