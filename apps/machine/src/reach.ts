import type { GuestMemory } from "@vm/devices";
import type { Gpa } from "@vm/mmu";
import { KvmError, type Mmu, PrivateMemoryError } from "@vm/mmu";

/**
 * Guest memory as devices and introspection reach it. What is private to the guest, broken, or being changed just now is a failed transfer, as is what
 * is not RAM: an IOMMU would say no more.
 */
export class ReachableMemory implements GuestMemory {
  readonly #mmu: Mmu;

  constructor(mmu: Mmu) {
    this.#mmu = mmu;
  }

  read(gpa: Gpa, dst: Uint8Array): boolean {
    return succeeds(() => this.#mmu.read(gpa, dst));
  }

  write(gpa: Gpa, src: Uint8Array): boolean {
    return succeeds(() => this.#mmu.write(gpa, src));
  }
}

function succeeds(transfer: () => boolean): boolean {
  try {
    return transfer();
  } catch (error) {
    if (error instanceof PrivateMemoryError || error instanceof KvmError) return false;
    throw error;
  }
}
