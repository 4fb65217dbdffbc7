import { afterAll, beforeAll, describe, test } from "vitest";
import type { Generation } from "../../src/index.js";
import { Compiled, sourcesOf, variablesOf } from "./compiled.js";
import { ReferenceKernel } from "./reference-kernel.js";

/** What a selftest has to work with. */
export interface Bench {
  readonly generation: Generation;
  /** The kernel's program of that name, compiled. */
  readonly object: (name: string) => Uint8Array;
  /** A kernel of that generation, with these values in its configuration. */
  readonly boot: (kconfig?: Readonly<Record<string, string>>) => ReferenceKernel;
}

/** Seconds of clang and bpftool, milliseconds. */
const COMPILING = 240_000;

/** Runs tests for each generation whose sources and types the environment names; of the others it is said that they are skipped. */
export function describeGenerations(
  name: string,
  tests: (bench: Bench) => void,
  generations: readonly Generation[] = ["6.1", "6.12"],
): void {
  for (const generation of generations) {
    const sources = sourcesOf(generation);
    describe(`${name}, ${generation}`, { timeout: COMPILING }, () => {
      if (sources === null) {
        // Sources and types of a kernel are not ours to have here.
        test.skip(`${variablesOf(generation)} name no sources and types`, () => undefined);
        return;
      }
      let compiled: Compiled | null = null;
      const ready = (): Compiled => {
        if (compiled === null) throw new Error("nothing is compiled outside of tests");
        return compiled;
      };
      beforeAll(() => {
        compiled = new Compiled(sources);
      }, COMPILING);
      afterAll(() => compiled?.dispose());
      tests({
        generation,
        object: (program) => ready().object(program),
        boot: (kconfig = {}) => new ReferenceKernel({ btf: ready().btf, generation, kconfig }),
      });
    });
  }
}
