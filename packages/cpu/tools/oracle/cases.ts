import type { Random } from "../random.js";
import type { Classified } from "../replay/classify.js";
import type { CodeBits } from "../replay/initial-state.js";
import { blocks } from "./blocks.js";
import { type Case, fits } from "./case.js";
import { type Candidate, InstructionGenerator } from "./generate.js";

export interface CaseOptions {
  readonly random: Random;
  /** How many. */
  readonly count: number;
  readonly blocks: boolean;
  /** Modes to take turns with. */
  readonly bits: readonly CodeBits[];
  readonly wanted: (insn: Classified) => boolean;
}

/** Passes over all opcodes without anything found, after which nothing is expected any more. */
const PATIENCE = 20;

/** Fresh cases: every instruction code in turn, at most once a round. Ends early if nothing is wanted that there is. */
export function* cases({ random, count, blocks: inBlocks, bits: modes, wanted }: CaseOptions): Generator<Case> {
  const generators = modes.map((bits) => ({ bits, generator: new InstructionGenerator(random, bits) }));
  let id = 0;
  let idle = 0;
  while (idle < PATIENCE) {
    idle++;
    for (const { bits, generator } of generators) {
      const candidates = generator.round(wanted);
      for (const { code, instructions, overrides } of inBlocks ? blocks(candidates, random) : candidates.map(alone)) {
        const made: Case = { id, seed: random.word().toString(16), code, instructions, bits, overrides };
        if (!fits(made)) continue;
        yield made;
        idle = 0;
        if (++id === count) return;
      }
    }
  }
}

const alone = ({ code, overrides }: Candidate): Pick<Case, "code" | "instructions" | "overrides"> => ({
  code,
  instructions: 1,
  overrides,
});
