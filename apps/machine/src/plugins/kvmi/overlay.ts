import type { GuestMemory } from "@vm/devices";
import type { Gpa } from "@vm/mmu";

/** Bytes that stand in for memory while one instruction runs. */
export class MemoryOverlay {
  readonly #memory: GuestMemory;
  readonly #pieces: { readonly gpa: Gpa; readonly before: Uint8Array; readonly shown: Uint8Array }[] = [];

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  /** Puts `bytes` at `gpa`, within one page; not where memory cannot be reached. */
  show(gpa: Gpa, bytes: Uint8Array): void {
    const before = new Uint8Array(bytes.length);
    if (!this.#memory.read(gpa, before)) return;
    this.#memory.write(gpa, bytes);
    this.#pieces.push({ gpa, before, shown: bytes });
  }

  /** Brings memory back. What the instruction itself wrote stays: bytes that are not what was shown. */
  hide(): void {
    for (const { gpa, before, shown } of this.#pieces.splice(0).reverse()) {
      const now = new Uint8Array(shown.length);
      this.#memory.read(gpa, now);
      this.#memory.write(
        gpa,
        before.map((byte, k) => (now[k] === shown[k] ? byte : (now[k] as number))),
      );
    }
  }
}
