import { classify } from "./classify.js";
import { differences } from "./compare.js";
import { initialState } from "./initial-state.js";
import { RecorderMachine } from "./recorder-machine.js";
import { bytesOf, expectedException, expectedState, type Vector } from "./vector.js";

/** What became of one vector. */
export type Verdict = "pass" | "fail" | "crash" | "notOffered";

export interface Judged {
  readonly verdict: Verdict;
  /** iced-x86 `Code`, or `?` for bytes it does not know. */
  readonly code: string;
  readonly features: readonly string[];
  /** Differences, or the message of the crash. */
  readonly details: readonly string[];
}

/** Replays recorded vectors. */
export class Replayer {
  #machine = new RecorderMachine();

  run(vector: Vector): Judged {
    const bytes = bytesOf(vector.c);
    const insn = classify(bytes);
    if (insn === null) return { verdict: "notOffered", code: "?", features: [], details: [] };
    const { code, features } = insn;
    if (!insn.offered) return { verdict: "notOffered", code, features, details: [] };
    const before = initialState(vector.s, vector.o ?? {});
    try {
      const outcome = this.#machine.execute(bytes, before);
      const details = differences(
        insn,
        before,
        expectedState(vector, before, insn.mnemonic.startsWith("pushf")),
        expectedException(vector),
        outcome,
      );
      return { verdict: details.length === 0 ? "pass" : "fail", code, features, details };
    } catch (error) {
      this.#machine = new RecorderMachine();
      return { verdict: "crash", code, features, details: [error instanceof Error ? error.message : String(error)] };
    }
  }
}
