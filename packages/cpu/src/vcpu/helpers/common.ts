import { HelperResult } from "../../calls.js";
import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import { CR4_UMIP, Vector } from "../registers/constants.js";

export const NEXT = HelperResult.Next;
export const JUMP = HelperResult.Jump;
export const FAULT = HelperResult.Fault;

/** `Next` or `Fault` for a step that says whether it worked. */
export const done = (ok: boolean): number => (ok ? NEXT : FAULT);

/** #GP(0) unless at CPL 0. */
export function privileged(vcpu: VcpuContext): boolean {
  return vcpu.cpl === 0 || vcpu.raiseError(Vector.GP, 0);
}

/** #GP(0) in virtual-8086 mode with IOPL < 3: INT n, IRET, POPF (SDM vol. 3, 20.2.7). */
export function iopl8086(vcpu: VcpuContext): boolean {
  const { flags } = vcpu;
  return !(flags & S.VM) || (flags & S.IOPL) === S.IOPL || vcpu.raiseError(Vector.GP, 0);
}

export function undefinedOpcode(vcpu: VcpuContext): number {
  vcpu.raise(Vector.UD);
  return FAULT;
}

/** #GP(0) if UMIP keeps the system's registers from CPL > 0 (SDM vol. 3, 2.5, CR4.UMIP). */
export function umip(vcpu: VcpuContext): boolean {
  return vcpu.cr4 & CR4_UMIP && vcpu.cpl > 0 ? vcpu.raiseError(Vector.GP, 0) : true;
}

/** A hook suppressed the effect: the instruction retires, unless the hook left the guest or raised an exception instead. */
export const suppressed = (vcpu: VcpuContext): number => (vcpu.leaving || vcpu.pending !== null ? FAULT : NEXT);
