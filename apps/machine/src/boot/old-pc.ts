import { BootError } from "./error.js";
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

/** @throws {BootError} if a kernel is told something by which it cannot find its disks */
export function checkDisks(disks: number, commandLine: string): void {
  const word = commandLine.split(/\s+/).find((candidate) => candidate === "acpi=off");
  if (disks === 0 || word === undefined) return;
  throw new BootError(
    "disks",
    `with ${word} on its command line the kernel finds no disk: only the ACPI tables tell where they are`,
  );
}

/** Whether a kernel is better off on a machine that has 8259A and 8254 as well: if it is told to use them, or is not a 64-bit Linux. */
export function wantsOldPc({ linux64 }: KernelImage, commandLine: string): boolean {
  return !linux64 || commandLine.split(/\s+/).some((word) => WORDS.has(word));
}
