import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import type { Pending } from "../context/event.js";
import { Vector } from "../registers/constants.js";

/** RFLAGS as they are pushed: RF is set for faults, #DB of instruction breakpoints excepted (SDM vol. 3, 17.3.1.1). */
export function pushedFlags(vcpu: VcpuContext, event: Pending): number {
  const { kind, vector, generalDetect } = event;
  const fault = kind === "exception" && vector !== Vector.DF && (vector !== Vector.DB || generalDetect === true);
  return fault ? vcpu.rflags | S.RF : vcpu.rflags;
}

/** Error code that names the IDT entry of `event` (SDM vol. 3, 6.13). */
export const idtError = (event: Pending): number => event.vector * 8 + 2;

/** `error`, met while `event` was delivered: with EXT in its error code unless software asked for the event (SDM vol. 3, 6.13). */
export function duringDelivery(event: Pending, error: Pending): Pending {
  const { vector, errorCode } = error;
  const namesSelector = vector >= Vector.TS && vector <= Vector.GP;
  return event.kind === "software" || !namesSelector || errorCode === null
    ? error
    : { ...error, errorCode: errorCode | 1 };
}

/** Flags at the first instruction of a handler: TF NT RF VM are clear, and IF behind an interrupt gate. Where VM was set, `updateMode` is due. */
export function clearFlags(vcpu: VcpuContext, interruptGate: boolean): void {
  const keep = ~(S.TF | S.NT | S.RF | S.VM | (interruptGate ? S.IF : 0));
  vcpu.setI32(S.FLAGS, vcpu.flags & keep);
  vcpu.traceByFlags();
}
