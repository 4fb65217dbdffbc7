import type { Mmu } from "@vm/mmu";
import type { Pace } from "../pace.js";
import type { Segment } from "./elf.js";
import { BootError, KernelError } from "./error.js";

/** Bytes written to guest memory between turns of the event loop. */
const PIECE = 4 * 2 ** 20;

/** Stores `bytes` of any length. */
export async function store(mmu: Mmu, address: number, bytes: Uint8Array, pace: Pace): Promise<void> {
  for (let at = 0; at < bytes.length; at += PIECE) {
    mmu.write(address + at, bytes.subarray(at, at + PIECE));
    await pace.breathe();
  }
}

/** Stores what the segments hold; what they have beyond is zero already. */
export async function storeSegments(mmu: Mmu, segments: readonly Segment[], pace: Pace): Promise<void> {
  for (const { address, bytes } of segments) {
    await store(mmu, address, bytes, pace);
    await pace.breathe();
  }
}

/** @throws {KernelError} if a segment does not lie within the `ram` bytes of RAM, or all together are larger */
export function checkSegments(segments: readonly Segment[], ram: number): void {
  const mib = `the ${ram / 2 ** 20} MiB of memory`;
  let sum = 0;
  for (const { address, size } of segments) {
    sum += size;
    if (address + size <= ram) continue;
    throw new KernelError(
      "place",
      `it wants to be loaded from ${hex(address)} to ${hex(address + size)}, outside ${mib}`,
    );
  }
  // Then they lie over each other, and how often their bytes are copied has no bound.
  if (sum > ram) throw new KernelError("size", `its segments are larger than ${mib} together`);
}

/** A text with a zero behind it. @throws {BootError} if it holds one, or is longer than `most` bytes */
export function zeroTerminated(what: string, text: string, most: number): Uint8Array {
  if (text.includes("\0")) throw new BootError("command-line", `${what} holds a zero, which would end it`);
  // A character takes a byte at least: what is far too long need not be encoded to be refused.
  const bytes = text.length > most ? null : new TextEncoder().encode(text);
  if (bytes === null || bytes.length > most) {
    const length = bytes?.length ?? new Blob([text]).size;
    throw new BootError("command-line", `${what} has ${length} bytes; at most ${most} are possible`);
  }
  const terminated = new Uint8Array(bytes.length + 1);
  terminated.set(bytes);
  return terminated;
}

const hex = (address: number): string => `0x${address.toString(16)}`;
