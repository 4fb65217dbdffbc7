import type { MemslotDesc } from "@vm/mmu";
import { SnapshotError } from "./error.js";
import { CHUNK_BYTES, LIMITS } from "./layout.js";

const PAGE = 4096;
/** KVM_USER_MEM_SLOTS on x86. */
const SLOT_IDS = 32764;

/**
 * @returns the memslots in the order of their addresses
 * @throws {SnapshotError} "range" if they are not pages below {@link LIMITS}, overlap or share an identity; "limit" if they are too many or too large
 */
export function checkMemslots(memslots: readonly MemslotDesc[], name: string): readonly MemslotDesc[] {
  if (memslots.length > LIMITS.memslots)
    throw new SnapshotError("limit", `${name}: ${memslots.length} memslots, at most ${LIMITS.memslots} are accepted`);
  const sorted = [...memslots].sort((a, b) => a.gpa - b.gpa);
  let end = 0;
  let total = 0;
  for (const { slot, gpa, size } of sorted) {
    const aligned = Number.isSafeInteger(gpa) && Number.isSafeInteger(size) && gpa % PAGE === 0 && size % PAGE === 0;
    if (!aligned || gpa < 0 || size <= 0 || gpa + size > LIMITS.address)
      throw new SnapshotError(
        "range",
        `${name}: memslot ${slot} of ${size} bytes at ${gpa}: expected pages of ${PAGE} bytes below 2^48`,
      );
    if (gpa < end) throw new SnapshotError("range", `${name}: memslot ${slot} at ${gpa} overlaps the one below it`);
    end = gpa + size;
    total += size;
  }
  const ids = new Set(memslots.map(({ slot }) => slot));
  if (ids.size !== memslots.length || [...ids].some((id) => !Number.isInteger(id) || id < 0 || id >= SLOT_IDS))
    throw new SnapshotError("range", `${name}: memslots with the numbers ${[...ids]}: each its own, below ${SLOT_IDS}`);
  if (total > LIMITS.memory)
    throw new SnapshotError("limit", `${name}: ${total} bytes of memory, at most ${LIMITS.memory} are accepted`);
  return sorted;
}

/** Guest memory as ranges: asked in ascending order of addresses it answers in constant time. */
export class MemoryRanges {
  readonly #sorted: readonly MemslotDesc[];
  #at = 0;

  /** @param sorted what {@link checkMemslots} returns */
  constructor(sorted: readonly MemslotDesc[]) {
    this.#sorted = sorted;
  }

  /** Whether any byte of `length` bytes from `gpa` on is memory; `gpa` not below that of the call before. */
  meets(gpa: number, length: number): boolean {
    const slot = this.#next(gpa);
    return slot !== undefined && slot.gpa < gpa + length;
  }

  /** Whether they all are, in one memslot. */
  holds(gpa: number, length: number): boolean {
    const slot = this.#next(gpa);
    return slot !== undefined && slot.gpa <= gpa && gpa + length <= slot.gpa + slot.size;
  }

  /** The first memslot that ends behind `gpa`. */
  #next(gpa: number): MemslotDesc | undefined {
    for (;;) {
      const slot = this.#sorted[this.#at];
      if (slot === undefined || slot.gpa + slot.size > gpa) return slot;
      this.#at++;
    }
  }
}

/** @throws {SnapshotError} "range" for a chunk without a byte of memory */
export function checkChunks(chunks: Uint32Array, sorted: readonly MemslotDesc[], name: string): void {
  const memory = new MemoryRanges(sorted);
  for (const chunk of chunks)
    if (!memory.meets(chunk * CHUNK_BYTES, CHUNK_BYTES))
      throw new SnapshotError("range", `${name}: chunk ${chunk}, at ${chunk * CHUNK_BYTES}, is beyond its memory`);
}
