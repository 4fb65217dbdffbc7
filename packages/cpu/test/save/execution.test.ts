import { describe, expect, test } from "vitest";
import type { JitOptions } from "../../src/index.js";
import { difference } from "../../tools/engines/compare.js";
import { EngineMachine } from "../../tools/engines/machine.js";
import { type Program, programOf } from "../../tools/engines/program.js";
import { run } from "../../tools/engines/run.js";

/** Programs that stop everywhere, that stop now and then, and those on machines that nothing has run on before. */
const EVERYWHERE = 4;
const SOMEWHERE = 25 * EVERYWHERE;
const FRESH = 6;

const ENGINES: readonly { readonly name: string; readonly jit?: JitOptions }[] = [
  { name: "in the interpreter" },
  { name: "with regions of everything", jit: { threshold: 1, again: 1, batch: 1 } },
];

/** What differs between a run that stops and one that is saved, and restored elsewhere, at every stop. */
function differs(program: Program, machines: () => EngineMachine, cut: true | "everywhere"): string | null {
  const whole = run(program, machines(), { cut });
  // RAM is the machine's, which may be used again.
  const kept = { ...whole, ram: whole.ram.slice() };
  const moved = run(program, machines(), { cut, next: machines });
  return difference(moved, kept);
}

/** Two machines, turn about. */
function turns(jit: JitOptions | undefined): () => EngineMachine {
  const machines = [new EngineMachine(jit), new EngineMachine(jit)] as const;
  let turn = 0;
  return () => machines[(turn++ & 1) as 0 | 1];
}

describe.each(ENGINES)("random programs, saved and restored into another vCPU $name", ({ jit }) => {
  test("at every instruction boundary, leave what they leave otherwise", () => {
    const machines = turns(jit);
    for (let seed = 1; seed <= EVERYWHERE; seed++)
      expect(differs(programOf(seed), machines, "everywhere"), `program ${seed}`).toBeNull();
  });

  test("now and then, leave what they leave otherwise", () => {
    const machines = turns(jit);
    for (let seed = 1000; seed < 1000 + SOMEWHERE; seed++)
      expect(differs(programOf(seed), machines, true), `program ${seed}`).toBeNull();
  });

  test("into one that has executed nothing before, leave what they leave otherwise", () => {
    for (let seed = 2000; seed < 2000 + FRESH; seed++)
      expect(
        differs(programOf(seed), () => new EngineMachine(jit), true),
        `program ${seed}`,
      ).toBeNull();
  });
});
