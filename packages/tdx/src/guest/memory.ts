import type { GuestContext } from "./context.js";
import { privateViolation, sharedViolation } from "./ept.js";
import type { Outcome } from "./outcome.js";

const PAGE = 4096;
const MAX_PA = 1n << 52n;

/** Whether a TDCALL operand is an address of the TD: private, or either; the bits above its width are zero. */
export function isGpa({ td }: GuestContext, gpa: bigint, privateOnly: boolean): boolean {
  if (gpa >= MAX_PA) return false;
  return Number(gpa) < (privateOnly ? td.sharedBit : 2 * td.sharedBit);
}

/**
 * The guest's memory that a TDCALL operand names, as a live view. What the page tables do not let through becomes an exit or #VE, as if the guest had gone there
 * itself.
 * @param gpa an address for which {@link isGpa} holds
 * @param size bytes; they do not cross a page
 */
export function guestMemory(
  context: GuestContext,
  gpa: bigint,
  size: number,
  access: "read" | "write",
): Uint8Array | Outcome {
  const { td, module, ports } = context;
  const address = Number(gpa);
  const offset = address % PAGE;
  if (address >= td.sharedBit) {
    const page = ports.sharedPage(address - td.sharedBit - offset, access === "write");
    if ("suppressVe" in page) return sharedViolation(context, address, undefined, access, page.suppressVe);
    return page.bytes.subarray(offset, offset + size);
  }
  const frame = td.sept?.walk(Math.floor(address / PAGE), access === "write" ? 2 : 1) ?? 0;
  if (frame <= 0) return privateViolation(context, address, undefined, access);
  return module.frame(frame * PAGE).subarray(offset, offset + size);
}
