import type { Mmu } from "@vm/mmu";

/** Bytes that stand in for memory while one instruction runs. */
export class MemoryOverlay {
  readonly #mmu: Mmu;
  readonly #pieces: { readonly gpa: number; readonly before: Uint8Array; readonly shown: Uint8Array }[] = [];

  constructor(mmu: Mmu) {
    this.#mmu = mmu;
  }

  /** Puts `bytes` at `gpa`, within one page. */
  show(gpa: number, bytes: Uint8Array): void {
    const before = new Uint8Array(bytes.length);
    if (!this.#mmu.read(gpa, before)) return;
    this.#mmu.write(gpa, bytes);
    this.#pieces.push({ gpa, before, shown: bytes });
  }

  /** Brings memory back. What the instruction itself wrote stays: bytes that are not what was shown. */
  hide(): void {
    for (const { gpa, before, shown } of this.#pieces.splice(0).reverse()) {
      const now = new Uint8Array(shown.length);
      this.#mmu.read(gpa, now);
      this.#mmu.write(
        gpa,
        before.map((byte, k) => (now[k] === shown[k] ? byte : (now[k] as number))),
      );
    }
  }
}
