import type { ExtendedQualification } from "../module/guest-cpu.js";
import { SEPT_PENDING } from "../module/sept.js";
import { TdCtl } from "../module/td.js";
import type { GuestContext } from "./context.js";
import type { Outcome } from "./outcome.js";
import { ExitReason, injectVe } from "./ve.js";

/** The kind of an access: one of three. */
export type Access = "read" | "write" | "fetch";

const ACCESS_BIT = { read: 1n, write: 2n, fetch: 4n } as const;
/** The linear address is valid, and was translated to the address in question. */
const GLA_VALID = 0x180n;
/** Rights of {@link SecureEpt.walk} that an access needs. */
const WANT = { read: 1, write: 2, fetch: 4 } as const;

const veOf = (context: GuestContext, gpa: number, gla: bigint | undefined, access: Access): Outcome =>
  injectVe(context, ExitReason.EPT_VIOLATION, {
    qualification: ACCESS_BIT[access] | (gla === undefined ? 0n : GLA_VALID),
    gla: gla ?? 0n,
    gpa,
  });

const leave = (context: GuestContext, gpa: number, access: Access, extended?: ExtendedQualification): Outcome =>
  context.leave({
    reason: "ept-violation",
    violation: extended === undefined ? { gpa, access } : { gpa, access, extended },
  });

/**
 * An access to a shared address that the host's EPT does not let through: #VE where the entry does not suppress it, which is how MMIO reaches the guest's
 * handler; else the host is asked to map the page.
 * @param gpa with the shared bit
 * @param gla undefined for an access of the module itself
 */
export function sharedViolation(
  context: GuestContext,
  gpa: number,
  gla: bigint | undefined,
  access: Access,
  suppressVe: boolean,
): Outcome {
  return suppressVe ? leave(context, gpa, access) : veOf(context, gpa, gla, access);
}

/** An access to a page that the TD has not accepted: #VE, or an exit for a TD that does not want to be told. */
export function pendingViolation(context: GuestContext, gpa: number, gla: bigint | undefined, access: Access): Outcome {
  if ((context.td.tdCtls & TdCtl.PENDING_VE_DISABLE) === 0n) return veOf(context, gpa, gla, access);
  return leave(context, gpa, access, { type: "pending-ept-violation" });
}

/** An access to a private address that the secure EPT does not let through: pending or not, as it says. */
export function privateViolation(context: GuestContext, gpa: number, gla: bigint | undefined, access: Access): Outcome {
  const found = context.td.sept?.walk(Math.floor(gpa / 4096), WANT[access]);
  if (found === SEPT_PENDING) return pendingViolation(context, gpa, gla, access);
  return leave(context, gpa, access);
}
