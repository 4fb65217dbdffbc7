import type { Random } from "../random.js";
import type { Segments } from "../replay/segments.js";
import { isInexact, undefinedAfter } from "../replay/tolerance.js";
import { MAX_BLOCK } from "../replay/vector.js";
import type { Candidate } from "./generate.js";

/** Instructions in a straight line. */
export interface Block {
  readonly code: Uint8Array;
  readonly instructions: number;
  readonly overrides: ReadonlyMap<number, bigint>;
  readonly segments?: Segments;
  /** Names of the instruction codes. */
  readonly codes: readonly string[];
}

const RSP = 4;

/** Most overrides of a block: the recorder takes 32, and shrinking adds some. */
const MAX_OVERRIDES = 24;

/**
 * Puts candidates together to blocks of 2 to 8. An instruction follows another only if the outcome stays defined: it reads no flag that is
 * undefined by then, and the registers of its address are as it wants them.
 */
export function* blocks(candidates: readonly Candidate[], random: Random): Generator<Block> {
  const waiting = shuffled(candidates, random);
  while (waiting.length > 0) {
    const builder = new BlockBuilder();
    const size = 2 + random.below(MAX_BLOCK - 1);
    const passed: Candidate[] = [];
    while (waiting.length > 0 && builder.size < size && !builder.closed && passed.length < 40) {
      const next = waiting.pop() as Candidate;
      if (!builder.add(next)) passed.push(next);
    }
    if (builder.size >= 2) yield builder.block();
    else if (builder.size === 0) return;
    // What fits nowhere is not tried for ever: the first of those passed over is left out.
    waiting.unshift(...shuffled(builder.size >= 2 ? passed : passed.slice(1), random));
  }
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const copy = [...items];
  for (let k = copy.length - 1; k > 0; k--) {
    const other = random.below(k + 1);
    [copy[k], copy[other]] = [copy[other] as T, copy[k] as T];
  }
  return copy;
}

class BlockBuilder {
  readonly #code: number[] = [];
  readonly #codes: string[] = [];
  readonly #overrides = new Map<number, bigint>();
  readonly #written = new Set<number>();
  #flags = 0;
  #status = 0;
  #segments: Segments | undefined;
  /** Nothing may follow. */
  closed = false;

  get size(): number {
    return this.#codes.length;
  }

  /** Appends the candidate if it fits. */
  add({ code, insn, overrides, straight, writes, relativeAt, segments, vendors }: Candidate): boolean {
    if (!straight || insn.readFlags & this.#flags || readStatus(insn) & this.#status) return false;
    for (const [what, value] of overrides) {
      const fixed = this.#overrides.get(what);
      // The stack pointer may have moved by then: everyone begins with the same.
      if (this.#written.has(what) && what !== RSP) return false;
      if (fixed !== undefined && fixed !== value) return false;
      if (fixed === undefined && this.#overrides.size >= MAX_OVERRIDES) return false;
    }
    const bytes = code.slice();
    if (relativeAt >= 0) {
      const view = new DataView(bytes.buffer);
      view.setInt32(relativeAt, (view.getInt32(relativeAt, true) - this.#code.length) | 0, true);
    }
    this.#code.push(...bytes);
    this.#codes.push(insn.code);
    this.#segments = segments;
    for (const [what, value] of overrides) this.#overrides.set(what, value);
    for (const register of writes) this.#written.add(register);
    ({ flags: this.#flags, status: this.#status } = undefinedAfter(insn, this.#flags, this.#status));
    this.closed = isInexact(insn) || vendors;
    return true;
  }

  block(): Block {
    return {
      code: Uint8Array.from(this.#code),
      instructions: this.#codes.length,
      overrides: this.#overrides,
      codes: this.#codes,
      ...(this.#segments === undefined ? {} : { segments: this.#segments }),
    };
  }
}

/** iced-x86 does not say that FXSAVE and XSAVE store the status word. */
const readStatus = ({ mnemonic, readStatus: known }: Candidate["insn"]): number =>
  /^f?xsave/.test(mnemonic) ? 0x4700 : known;
