import { BpfError } from "../errors.js";
import type { Arena } from "../memory/arena.js";

/**
 * Calls `use` with blocks of the arena that are there as long as it runs; of 0 bytes with 0.
 * @throws {BpfError} ENOMEM
 */
export function withBlocks<T>(arena: Arena, sizes: readonly number[], use: (...blocks: number[]) => T): T {
  const blocks: number[] = [];
  try {
    for (const size of sizes) {
      const block = size === 0 ? 0 : arena.alloc(size);
      if (size !== 0 && block === 0) throw new BpfError("ENOMEM", `no ${size} bytes`);
      blocks.push(block);
    }
    return use(...blocks);
  } finally {
    for (const block of blocks) if (block !== 0) arena.free(block);
  }
}
