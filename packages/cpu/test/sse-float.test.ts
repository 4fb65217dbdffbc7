import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { classify } from "../tools/replay/classify.js";
import { type CpuState, initialState } from "../tools/replay/initial-state.js";
import { RecorderMachine } from "../tools/replay/recorder-machine.js";
import { bytesOf, parseVector } from "../tools/replay/vector.js";

/** Round to nearest, all exceptions masked: with and without inexactness noted. */
const CLEAN = 0x1f80;
const INEXACT = 0x20;
const SEEDS = 4;
/** Mnemonics with a fast path. */
const FAST =
  /^(add|sub|mul|div|sqrt|min|max)(ss|sd|ps|pd)$|^u?comis[sd]$|^cmp[sp][sd]$|^round[sd][sd]$|^cvt(t?s[sd]2si|si2s[sd]|ss2sd|sd2ss|dq2ps|dq2pd|ps2pd|t?ps2dq)$/;

describe("arithmetic on ordinary numbers", () => {
  const machine = new RecorderMachine();
  const lines = gunzipSync(readFileSync(new URL("./fixtures/cpu-vectors.jsonl.gz", import.meta.url)))
    .toString("latin1")
    .trim()
    .split("\n");
  const vectors = lines
    .map((line, k) => parseVector(line, k + 1))
    .filter(({ c }) => {
      const insn = classify(bytesOf(c));
      return insn?.offered === true && FAST.test(insn.mnemonic);
    });

  /** What is left after the instruction, with inexactness noted in any case. */
  const after = (code: string, state: CpuState, mxcsr: number): string => {
    const { state: s, raised } = machine.execute(bytesOf(code), { ...state, mxcsr });
    return [raised?.vector, s.xmm.join(), s.gpr.join(), s.rflags, s.mxcsr | INEXACT, s.rip].join();
  };

  // Vectors are recorded with MXCSR's flags clear: then all but exact results are computed by the softfloat unit.
  it("gives what exact arithmetic gives once inexactness has been noted", () => {
    expect(vectors.length).toBeGreaterThan(400);
    const different: string[] = [];
    for (const { c, s, o } of vectors) {
      for (let k = 0; k < SEEDS; k++) {
        const state = initialState(`${(k * 0x1111).toString(16)}${s.slice(0, 12)}`, o ?? {});
        if (after(c, state, CLEAN) !== after(c, state, CLEAN | INEXACT)) different.push(`${c} seed ${k}`);
      }
    }
    expect(different).toEqual([]);
  });
});
