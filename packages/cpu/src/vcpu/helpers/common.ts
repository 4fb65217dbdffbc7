import { HelperResult } from "../../calls.js";
import type { Insn } from "../../decode/index.js";
import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import type { Verdict } from "../context/hooks.js";
import { CR4_UMIP, Vector } from "../registers/constants.js";
import { add64, type Halves } from "../registers/halves.js";

const next: Halves = { lo: 0, hi: 0 };

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

/** The guest is left, or an exception is pending, instead of what was to happen. */
export const instead = (vcpu: VcpuContext): boolean => vcpu.leaving || vcpu.pending !== null;

/** Whether observers, whose answer `verdict` is, keep an instruction from having its effect: by a veto, an exception or by leaving. */
export const vetoed = (vcpu: VcpuContext, verdict: Verdict): boolean => verdict === false || instead(vcpu);

/** What becomes of a {@link vetoed} instruction: it retires, unless the guest is left or an exception was raised instead. */
export const suppressed = (vcpu: VcpuContext): number => (instead(vcpu) ? FAULT : NEXT);

/** Goes on behind the instruction, where none has been decoded with it. */
export function skip(vcpu: VcpuContext, { len }: Insn): number {
  add64(next, vcpu.ripLo, vcpu.ripHi, len, 0);
  vcpu.setRip(next.lo, next.hi);
  return JUMP;
}

/** As {@link suppressed}, for an instruction that is the last of its block. */
export const skipped = (vcpu: VcpuContext, insn: Insn): number => (instead(vcpu) ? FAULT : skip(vcpu, insn));
