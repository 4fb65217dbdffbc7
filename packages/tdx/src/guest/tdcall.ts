import { Gpr } from "../module/gpr.js";
import { OperandId, STATUS_CODE, Status, withOperand } from "../module/status.js";
import type { GuestContext } from "./context.js";
import { isOutcome } from "./leaves/leaf.js";
import { TDCALLS } from "./leaves/table.js";
import type { Outcome } from "./outcome.js";

const LEAF_BITS = 0xffff;
const VERSION_SHIFT = 16;
const VERSION_BITS = 0xff;
/** What RAX is below, with a leaf and a version and nothing else. */
const RESERVED = 1n << 24n;
const LOW_32 = 0xffff_ffffn;

/** The leaf and version that RAX names. */
export function leafOf(rax: bigint): { leaf: number; version: number } {
  const low = Number(rax & LOW_32);
  return { leaf: low & LEAF_BITS, version: (low >>> VERSION_SHIFT) & VERSION_BITS };
}

/** What a TDCALL ends with. `status` is undefined if it ended without one. */
export interface TdcallResult {
  readonly outcome: Outcome;
  readonly status: bigint | undefined;
}

const DONE: TdcallResult = { outcome: "done", status: Status.SUCCESS };

/** TSC ticks of the host that HP_LOCK_TIMEOUT is. */
function timeoutTicks({ td, module }: GuestContext): bigint {
  return (BigInt(td.hpLockTimeout) * BigInt(Math.trunc(module.platform.tscFrequency))) / 1_000_000n;
}

/**
 * The status that RAX gets. A guest that was turned away by a lock which a host wants finds it busy, and tries again; if that goes on for too long, the host
 * is told.
 */
function conclude(context: GuestContext, status: bigint): TdcallResult {
  const { vcpu, cpu, module } = context;
  if (status === Status.SUCCESS) {
    cpu.gpr.set(Gpr.Rax, status);
    vcpu.hostPrioritySince = undefined;
    return DONE;
  }
  const isTurnedAway = (status & STATUS_CODE) === Status.OPERAND_BUSY_HOST_PRIORITY;
  const shown = isTurnedAway ? withOperand(Status.OPERAND_BUSY, Number(status & ~STATUS_CODE)) : status;
  cpu.gpr.set(Gpr.Rax, shown);
  if (!isTurnedAway) vcpu.hostPrioritySince = undefined;
  else vcpu.hostPrioritySince ??= module.platform.tsc();
  const since = vcpu.hostPrioritySince;
  if (since === undefined || module.platform.tsc() - since < timeoutTicks(context))
    return { outcome: "done", status: shown };
  vcpu.hostPrioritySince = undefined;
  return { outcome: context.leave({ reason: "host-priority-busy-timeout" }, true), status: shown };
}

/** TDCALL. Any register contents are fine. Outside 64-bit code, and for user code, it is #GP(0). */
export function tdcall(context: GuestContext): TdcallResult {
  const { cpu } = context;
  if (cpu.cpl > 0 || !context.is64Bit) return { outcome: context.generalProtection(), status: undefined };
  const rax = cpu.gpr.get(Gpr.Rax);
  const { leaf: number, version } = leafOf(rax);
  const leaf = TDCALLS.get(number);
  const isKnown = leaf !== undefined && rax < RESERVED && version <= (leaf.versions ?? 0);
  const result = isKnown ? leaf.run(context, version) : withOperand(Status.OPERAND_INVALID, OperandId.Rax);
  return isOutcome(result) ? { outcome: result, status: undefined } : conclude(context, result);
}
