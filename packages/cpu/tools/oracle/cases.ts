import type { Random } from "../random.js";
import type { Classified } from "../replay/classify.js";
import type { CodeBits } from "../replay/initial-state.js";
import { type Block, blocks } from "./blocks.js";
import { type Case, fits } from "./case.js";
import { type Candidate, InstructionGenerator, type Surroundings } from "./generate.js";

export interface CaseOptions {
  readonly random: Random;
  /** How many. */
  readonly count: number;
  readonly blocks: boolean;
  /** Modes to take turns with. */
  readonly bits: readonly CodeBits[];
  /** Whether segments that are not flat can be recorded. Code of 16 bits needs them. */
  readonly segments: boolean;
  readonly wanted: (insn: Classified) => boolean;
}

/** Passes over all opcodes without anything found, after which nothing is expected any more. */
const PATIENCE = 20;

/** Fresh cases: every instruction code in turn, at most once a round. Ends early if nothing is wanted that there is. */
export function* cases(options: CaseOptions): Generator<Case> {
  const { random, count, wanted } = options;
  const generators = surroundings(options).map((around) => ({
    around,
    generator: new InstructionGenerator(random, around),
  }));
  let id = 0;
  let idle = 0;
  while (idle < PATIENCE) {
    idle++;
    for (const { around, generator } of generators) {
      const candidates = generator.round(wanted);
      for (const some of options.blocks ? blocks(candidates, random) : candidates.map(alone)) {
        const { code, instructions, overrides, segments } = some;
        const made: Case = {
          id,
          seed: random.word().toString(16),
          code,
          instructions,
          bits: around.bits,
          overrides,
          ...(segments === undefined ? {} : { segments }),
        };
        if (!fits(made)) continue;
        yield made;
        idle = 0;
        if (++id === count) return;
      }
    }
  }
}

function surroundings({ bits: modes, segments, blocks: inBlocks }: CaseOptions): readonly Surroundings[] {
  return modes.flatMap((bits): Surroundings[] => {
    const loads = segments && !inBlocks;
    const segmented: Surroundings = { bits, segments: inBlocks ? "round" : "each", loads };
    const flat: Surroundings = { bits, segments: "none", loads };
    if (bits === 16) return segments ? [segmented] : [];
    return bits === 64 || !segments ? [flat] : [flat, segmented];
  });
}

const alone = ({ code, instructions, overrides, segments }: Candidate): Omit<Block, "codes"> => ({
  code,
  instructions,
  overrides,
  ...(segments === undefined ? {} : { segments }),
});
