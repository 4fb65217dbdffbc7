import type { KernelImage } from "./kernel.js";

/**
 * Words that keep Linux from what it needs to do without the devices of old PCs: the I/O APIC, the local APIC or its timer, ACPI
 * (Documentation/admin-guide/kernel-parameters.txt).
 */
const WORDS = new Set([
  "acpi=ht",
  "acpi=noirq",
  "acpi=off",
  "disableapic",
  "maxcpus=0",
  "noapic",
  "noapictimer",
  "nolapic",
  "nolapic_timer",
  "nosmp",
  "pci=noacpi",
]);

/** Whether a kernel is better off on a machine that has 8259A and 8254 as well: if it is told to use them, or is not a 64-bit Linux. */
export function wantsOldPc({ linux64 }: KernelImage, commandLine: string): boolean {
  return !linux64 || commandLine.split(/\s+/).some((word) => WORDS.has(word));
}
