import { type Classified, classify, classifyBlock } from "./classify.js";
import { differences } from "./compare.js";
import { type CodeBits, type CpuState, initialState } from "./initial-state.js";
import { type Draw, pad } from "./padding.js";
import { type ExecuteOptions, type Outcome, RecorderMachine } from "./recorder-machine.js";
import { parseSegments } from "./segments.js";
import { blockTolerance, type Tolerance, toleranceOf } from "./tolerance.js";
import { bytesOf, expectedException, expectedState, type Vector } from "./vector.js";
import { type Situation, vendorDifference } from "./vendors.js";

/** What became of one vector. `vendor`: it differs only in what processors of another vendor do otherwise. */
export type Verdict = "pass" | "fail" | "crash" | "notOffered" | "vendor";

export interface Judged {
  readonly verdict: Verdict;
  /** iced-x86 `Code`, or `?` for bytes it does not know; of a block, that of its last completed instruction or the one that raised. */
  readonly code: string;
  readonly mnemonic: string;
  readonly features: readonly string[];
  /** Differences, or the message of the crash. */
  readonly details: readonly string[];
  /** The vendor's difference, when it is one. */
  readonly vendor?: string;
}

/** What one run differed in, and in whose surroundings. */
interface Compared {
  readonly details: readonly string[];
  readonly situation: Situation;
}

/** Runs code from a state: the vCPU, or what stands in for it. */
export interface Executor {
  execute(code: Uint8Array, state: CpuState, options?: ExecuteOptions): Outcome;
}

/** Replays recorded vectors. */
export class Replayer {
  #machine: Executor;
  readonly #create: () => Executor;

  /** @param create makes an executor; again after one has crashed */
  constructor(create: () => Executor = () => new RecorderMachine()) {
    this.#create = create;
    this.#machine = create();
  }

  /** Replays a vector as it was recorded: an instruction alone, or a block. */
  run(vector: Vector): Judged {
    return vector.b === undefined ? this.#single(vector) : this.#block(vector);
  }

  /** Replays an instruction in a straight line with neutral ones around it; blocks as they are. */
  runPadded(vector: Vector, draw: Draw): Judged {
    if (vector.b !== undefined) return this.#block(vector);
    // What stands around the instruction may lie behind the limit of CS.
    return vector.sg === undefined ? this.#single(vector, draw) : this.#single(vector);
  }

  #single(vector: Vector, draw?: Draw): Judged {
    const bytes = bytesOf(vector.c);
    const bits = vector.mode ?? 64;
    const surroundings = surroundingsOf(vector);
    const insn = classify(bytes, bits);
    if (insn === null) return { verdict: "notOffered", code: "?", mnemonic: "?", features: [], details: [] };
    if (!insn.offered) return { verdict: "notOffered", ...aboutOf(insn), details: [] };
    return this.#judge(vector, insn, () => {
      const before = initialState(vector.s, vector.o ?? {}, bits, surroundings.segments);
      const expected = expectedState(vector, before, insn.mnemonic.startsWith("pushf"));
      const raised = expectedException(vector);
      // POPF may set TF, which ends the line an instruction later.
      const straight = raised === null && expected.rip === bytes.length && !insn.mnemonic.startsWith("popf");
      let outcome: Outcome;
      if (draw === undefined) outcome = this.#machine.execute(bytes, before, surroundings);
      else {
        const padded = pad(bytes, draw, bits);
        if (straight) expected.rip += padded.tail;
        outcome = this.#machine.execute(padded.bytes, before, {
          ...surroundings,
          lead: padded.lead,
          // Behind a branch there is something else.
          ...(straight || raised !== null
            ? { instructions: padded.count, until: bytes.length + padded.tail }
            : { instructions: padded.before + 1 }),
        });
      }
      const tolerance = toleranceOf(insn, before, raised, surroundings.segments);
      return {
        details: differences(tolerance, expected, raised, outcome),
        situation: { ...surroundings, insn, bytes, inBlock: false, before, raised, got: outcome.raised },
      };
    });
  }

  #block(vector: Vector): Judged {
    const bytes = bytesOf(vector.c);
    const bits = vector.mode ?? 64;
    const insns = classifyBlock(bytes, bits);
    if (insns === null) return { verdict: "notOffered", code: "?", mnemonic: "?", features: [], details: [] };
    const raised = expectedException(vector);
    const done = raised === null ? insns.length : completed(insns, vector.ip ?? 0);
    const shown = insns[Math.min(done, insns.length - 1)] as Classified;
    const missing = insns.find((insn) => !insn.offered);
    if (missing !== undefined) return { verdict: "notOffered", ...aboutOf(missing), details: [] };
    return this.#judge(vector, shown, () => {
      const surroundings = surroundingsOf(vector);
      const before = initialState(vector.s, vector.o ?? {}, bits, surroundings.segments);
      const outcome = this.#machine.execute(bytes, before, {
        ...surroundings,
        instructions: insns.length,
        until: bytes.length,
      });
      const tolerance: Tolerance = blockTolerance(insns, done, before, raised, surroundings.segments);
      const at = insns.slice(0, insns.indexOf(shown)).reduce((sum, { length }) => sum + length, 0);
      return {
        details: differences(tolerance, expectedState(vector, before), raised, outcome),
        situation: {
          ...surroundings,
          insn: shown,
          bytes: bytes.subarray(at, at + shown.length),
          inBlock: true,
          before,
          raised,
          got: outcome.raised,
        },
      };
    });
  }

  #judge({ p }: Vector, insn: Classified, compare: () => Compared): Judged {
    const about = aboutOf(insn);
    try {
      const { details, situation } = compare();
      if (details.length === 0) return { verdict: "pass", ...about, details };
      const known = p === undefined ? undefined : vendorDifference(p, situation, details);
      return known === undefined
        ? { verdict: "fail", ...about, details }
        : { verdict: "vendor", ...about, details, vendor: known.name };
    } catch (error) {
      this.#machine = this.#create();
      return { verdict: "crash", ...about, details: [error instanceof Error ? error.message : String(error)] };
    }
  }
}

const aboutOf = ({ code, mnemonic, features }: Classified): Omit<Judged, "verdict" | "details"> => ({
  code,
  mnemonic,
  features,
});

const surroundingsOf = ({ mode, sg }: Vector): Pick<ExecuteOptions, "segments"> & { bits: CodeBits } => ({
  bits: mode ?? 64,
  ...(sg === undefined ? {} : { segments: parseSegments(sg) }),
});

/** Instructions that end at or before offset `rip`. */
function completed(insns: readonly Classified[], rip: number): number {
  let end = 0;
  let count = 0;
  for (const { length } of insns) {
    end += length;
    if (end > rip) break;
    count++;
  }
  return count;
}
