import type { PhysicalMemory } from "@vm/tdx";

const PAGE = 4096;

/**
 * The frames of a machine as the TDX module and KVM reach them. Frames come zeroed, and a guest that accepts all of its memory at its start would touch all of the
 * host's: one that nobody has written yet is zeroed by leaving it alone.
 */
export class TdFrames implements PhysicalMemory {
  readonly #bytes: Uint8Array;
  /** By frame: the module, KVM or the guest may have written there. */
  readonly #touched: Uint8Array;
  #untold = false;
  /** The page that was asked for last: pages are measured piece by piece. */
  #last: Uint8Array = new Uint8Array();
  #lastHpa = -1;

  constructor(memory: WebAssembly.Memory) {
    this.#bytes = new Uint8Array(memory.buffer);
    this.#touched = new Uint8Array(this.#bytes.length / PAGE);
  }

  page(hpa: number): Uint8Array {
    if (hpa !== this.#lastHpa) {
      this.#touched[hpa / PAGE] = 1;
      this.#last = this.#bytes.subarray(hpa, hpa + PAGE);
      this.#lastHpa = hpa;
    }
    return this.#last;
  }

  zero(hpa: number): void {
    const pfn = hpa / PAGE;
    if (this.#untold || this.#touched[pfn] === 1) this.#bytes.fill(0, hpa, hpa + PAGE);
    this.#touched[pfn] = 1;
  }

  /** From now on frames are written by others, without a word. */
  share(): void {
    this.#untold = true;
  }
}
