import type { LateMemory, MachineSnapshot, MemoryPiece } from "../machine-snapshot.js";
import { CHUNK_BYTES } from "./layout.js";
import type { Snapshot } from "./snapshot.js";

/** A stored snapshot as a machine takes it. Its files stay open until {@link close}, which a lazy one needs until the machine has ended. */
export class StoredSnapshot implements MachineSnapshot {
  readonly late: LateMemory | undefined;
  readonly #snapshot: Snapshot;

  /** @param lazy the machine starts without its memory, which is read when the guest needs it; each chunk is checked then */
  constructor(snapshot: Snapshot, lazy = false) {
    this.#snapshot = snapshot;
    if (lazy)
      this.late = {
        chunks: snapshot.chunks,
        fetch: (chunk) => snapshot.readChunk(chunk),
        fetchNow: (chunk) => snapshot.readChunkNow(chunk),
      };
  }

  /** 64 hexadecimal digits. */
  get id(): string {
    return this.#snapshot.id;
  }

  get meta(): unknown {
    return this.#snapshot.meta;
  }

  get state(): unknown {
    return this.#snapshot.state;
  }

  /** Chunk by chunk, each checked. What of a chunk is outside of the memory has no meaning and is left out. @throws {SnapshotError} what `Snapshot.readChunk` does */
  async *pieces(): AsyncIterable<MemoryPiece> {
    for (const chunk of this.#snapshot.chunks) {
      const bytes = await this.#snapshot.readChunk(chunk);
      const begin = chunk * CHUNK_BYTES;
      for (const { gpa, size } of this.#snapshot.memslots) {
        const [from, to] = [Math.max(gpa, begin), Math.min(gpa + size, begin + CHUNK_BYTES)];
        if (from < to) yield { gpa: from, bytes: bytes.subarray(from - begin, to - begin) };
      }
    }
  }

  close(): Promise<void> {
    return this.#snapshot.close();
  }
}
