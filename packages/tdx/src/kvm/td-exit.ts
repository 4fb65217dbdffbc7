/** Why KVM_RUN came back, in KVM's words. */
export type TdExit =
  /** The exit is dealt with: enter again. */
  | { readonly reason: "handled" }
  /** Nothing was entered, for somebody else has the vCPU or removes a page: let others go on, and enter again. */
  | { readonly reason: "busy" }
  /** The guest was interrupted, and knows nothing of it. */
  | { readonly reason: "external-interrupt" | "nmi" }
  /** KVM_EXIT_HLT: enter again when there is an interrupt; if they are blocked, only for an NMI. */
  | { readonly reason: "hlt"; readonly interruptsBlocked: boolean }
  /** KVM_EXIT_SHUTDOWN: a triple fault; the vCPU never runs again. */
  | { readonly reason: "shutdown" }
  /** KVM_EXIT_MEMORY_FAULT: there is no memory of the kind that was meant. */
  | { readonly reason: "memory-fault"; readonly gpa: number; readonly size: number; readonly isPrivate: boolean }
  /** KVM_RUN would return ENOMEM: the host has no page left for the tables of this address. */
  | { readonly reason: "no-memory"; readonly gpa: number }
  | TdxFatal
  /** KVM_EXIT_EXCEPTION. */
  | { readonly reason: "exception"; readonly vector: number }
  /** KVM_EXIT_FAIL_ENTRY. */
  | { readonly reason: "fail-entry"; readonly hardwareEntryFailureReason: number }
  /** KVM_EXIT_INTERNAL_ERROR, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON: what TDH.VP.ENTER returned. */
  | { readonly reason: "internal-error"; readonly vpEnterRet: bigint }
  /** KVM_RUN would return EIO: the VM is dead, and why. */
  | { readonly reason: "vm-dead"; readonly message: string };

/** KVM_EXIT_SYSTEM_EVENT, KVM_SYSTEM_EVENT_TDX_FATAL: the guest gives up. */
export interface TdxFatal {
  readonly reason: "tdx-fatal";
  /** R12 bits 31:0: the guest's error code. */
  readonly code: number;
  /** What the guest says, printable ASCII; up to 64 bytes. */
  readonly message: string;
  /** Address without the shared bit of a page that says more, or null. */
  readonly gpa: number | null;
  /** Registers in the order of their encoding; RAX is what TDH.VP.ENTER returned. */
  readonly registers: readonly bigint[];
}

export const HANDLED: TdExit = { reason: "handled" };
export const BUSY: TdExit = { reason: "busy" };
