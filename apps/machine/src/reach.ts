import type { GuestMemory, Turns } from "@vm/devices";
import type { Gpa } from "@vm/mmu";
import { KvmError, type Mmu, PrivateMemoryError } from "@vm/mmu";

const PAGE = 4096;

/** Who is told that memory is on its way. */
export interface Waiting extends Pick<Turns, "begin"> {
  /** It cannot be had. */
  readonly onLost: (error: unknown) => void;
}

/**
 * Guest memory as devices and introspection reach it. What is private to the guest, broken, or being changed just now is a failed transfer, as is what
 * is not RAM: an IOMMU would say no more.
 */
export class ReachableMemory implements GuestMemory {
  readonly #mmu: Mmu;
  readonly #waiting: Waiting | undefined;

  /** @param waiting for who uses {@link ready} */
  constructor(mmu: Mmu, waiting?: Waiting) {
    this.#mmu = mmu;
    this.#waiting = waiting;
  }

  read(gpa: Gpa, dst: Uint8Array): boolean {
    return succeeds(() => this.#mmu.read(gpa, dst));
  }

  write(gpa: Gpa, src: Uint8Array): boolean {
    return succeeds(() => this.#mmu.write(gpa, src));
  }

  ready(gpa: Gpa, size: number, retry: () => void): boolean {
    const { residency } = this.#mmu;
    const first = Math.floor(gpa / PAGE);
    const pages = Math.ceil((gpa + size) / PAGE) - first;
    if (residency === null || residency.hasAll(first, pages) || residency.bring(first, pages)) return true;
    const done = this.#waiting?.begin();
    residency
      .ensure(first, pages)
      .then(retry, (error: unknown) => this.#waiting?.onLost(error))
      .finally(done);
    return false;
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
