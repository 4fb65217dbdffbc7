import type { SecureEpt } from "./sept.js";
import type { Td } from "./td.js";
import type { TdVcpu } from "./td-vcpu.js";

/** EPT violations at one instruction that are nothing to think of. */
const THRESHOLD = 6;
/** Addresses that are kept. */
const LIST_SIZE = 32;
const PAGE = 4096;
const READ = 1;

/** The guest has completed an instruction since it was entered: what was counted does not matter any more. */
export function forgetEptFaults(vcpu: TdVcpu): void {
  vcpu.epfCount = 0;
  vcpu.epfGpas.length = 0;
}

/**
 * Counts an EPT violation on a private address that goes to the host. A host that lets one instruction fault again and again may be single-stepping the guest:
 * beyond the threshold, the addresses are kept, and the vCPU is not entered before they are mapped.
 * Source: TDX module base architecture specification, "Zero-Step Attacks Mitigation".
 */
export function logEptFault(vcpu: TdVcpu, gpa: number): void {
  if (vcpu.epfCount < THRESHOLD) vcpu.epfCount++;
  else if (vcpu.epfGpas.length < LIST_SIZE && !vcpu.epfGpas.includes(gpa)) vcpu.epfGpas.push(gpa);
}

/** The first of the kept addresses that would fault again, or undefined. */
export function expectedEptFault(td: Td & { readonly sept: SecureEpt | undefined }, vcpu: TdVcpu): number | undefined {
  return vcpu.epfGpas.find((gpa) => (td.sept?.walk(Math.floor(gpa / PAGE), READ) ?? 0) <= 0);
}
