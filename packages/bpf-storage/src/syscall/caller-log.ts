import { BpfError } from "../errors.js";
import type { Generation } from "../storage/storage-helpers.js";
import type { UserMemory } from "./user-memory.js";

/** Bits of a level: 1 and 2 how much, 4 statistics, 8 keep the beginning of what is too long (since 6.4). */
const LEVELS: Readonly<Record<Generation, number>> = { "6.1": 7, "6.12": 15 };
const FIXED = 8;
/** Bytes of a buffer: what 6.1 asks for at least, and what is allowed at most. */
const LEAST_OLD = 128;
const MOST = 0xffffffff >>> 2;

/** Where a caller wants to have what is said about what it loads. */
export interface LogRequest {
  readonly level: number;
  readonly address: number;
  /** Bytes, the NUL at the end included. */
  readonly size: number;
}

/** The log of BPF_PROG_LOAD and BPF_BTF_LOAD (kernel/bpf/log.c; 6.1: verifier.c). */
export class CallerLog {
  /** @throws {BpfError} EINVAL for a level without a buffer, or a buffer without a level */
  constructor(
    readonly memory: UserMemory,
    readonly generation: Generation,
    readonly request: LogRequest,
  ) {
    const { level, address, size } = request;
    const known = (level & ~LEVELS[generation]) === 0 && size <= MOST;
    const ok =
      generation === "6.1"
        ? (level === 0 && address === 0 && size === 0) || (known && level !== 0 && address !== 0 && size >= LEAST_OLD)
        : known && (address !== 0) === (size !== 0) && (address === 0 || level !== 0);
    if (!ok) throw new BpfError("EINVAL", `a log of level ${level} in ${size} bytes at 0x${address.toString(16)}`);
  }

  /** Whether anything is said. */
  get wanted(): boolean {
    return this.request.level !== 0;
  }

  /** How much the verifier is to say: 0 errors, 1 instructions, 2 states as well. */
  get verbosity(): 0 | 1 | 2 {
    const { level } = this.request;
    return (level & 2) !== 0 ? 2 : (level & 1) !== 0 ? 1 : 0;
  }

  /** Bytes that a caller must have room for, the NUL at the end included. @param longest characters of what has been said at once */
  trueSize(longest: number): number {
    return this.wanted && longest > 0 ? longest + 1 : 0;
  }

  /**
   * Writes a text into the caller's buffer: of one that is too long its end, or its beginning in 6.1 and if the caller says so.
   * @param longest characters of what has been said at once: some is said, and taken back before the end
   * @throws {BpfError} ENOSPC if there was no room for it, EFAULT if the buffer cannot be written
   */
  write(text: string, longest: number): void {
    const { address, size, level } = this.request;
    if (!this.wanted || address === 0 || text.length === 0) return;
    const room = size - 1;
    const keepsStart = this.generation === "6.1" || (level & FIXED) !== 0;
    const kept = text.length <= room ? text : keepsStart ? text.slice(0, room) : text.slice(text.length - room);
    const bytes = new Uint8Array(kept.length + 1);
    for (let k = 0; k < kept.length; k++) bytes[k] = kept.charCodeAt(k);
    this.memory.write(address, bytes);
    // 6.1 only looks at the end, and takes a full buffer for one that is too small.
    if (this.generation === "6.1" ? text.length >= room : longest > room)
      throw new BpfError("ENOSPC", `a log of ${longest + 1} bytes in ${size}`);
  }
}
