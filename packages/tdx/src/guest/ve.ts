import { type GuestContext, Vector } from "./context.js";
import type { Outcome } from "./outcome.js";

/** Basic VMX exit reasons that a guest sees in TDG.VP.VEINFO.GET. Source: SDM vol. 3, appendix C. */
export const ExitReason = {
  CPUID: 10,
  HLT: 12,
  INVD: 13,
  VMCALL: 18,
  CR_ACCESS: 28,
  IO_INSTRUCTION: 30,
  MSR_READ: 31,
  MSR_WRITE: 32,
  MWAIT: 36,
  MONITOR: 39,
  EPT_VIOLATION: 48,
  WBINVD: 54,
  APIC_WRITE: 56,
  PCONFIG: 65,
} as const;

/** What a virtualisation exception says, besides the instruction. */
export interface VeDetails {
  readonly qualification?: bigint;
  /** Guest-linear and guest-physical address of an EPT violation. */
  readonly gla?: bigint;
  readonly gpa?: number;
}

/**
 * Injects #VE and writes its information area; #DF if the guest has not yet taken the one before by TDG.VP.VEINFO.GET.
 * Source: Intel TDX module 1.5 base specification, "Virtualization Exception".
 */
export function injectVe({ vcpu, cpu }: GuestContext, exitReason: number, details: VeDetails = {}): Outcome {
  const { veInfo } = vcpu;
  if (veInfo.valid) {
    cpu.inject(Vector.DoubleFault, 0);
    return "exception";
  }
  veInfo.exitReason = exitReason;
  veInfo.qualification = details.qualification ?? 0n;
  veInfo.gla = details.gla ?? 0n;
  veInfo.gpa = details.gpa ?? 0;
  veInfo.instructionLength = cpu.instructionLength;
  veInfo.instructionInfo = 0;
  veInfo.valid = true;
  cpu.inject(Vector.Virtualization, null);
  return "exception";
}
