import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { Random } from "../tools/random.js";
import { classify } from "../tools/replay/classify.js";
import { differences } from "../tools/replay/compare.js";
import { emptyState } from "../tools/replay/initial-state.js";
import { neutral, pad } from "../tools/replay/padding.js";
import { RecorderMachine } from "../tools/replay/recorder-machine.js";
import { type Judged, Replayer } from "../tools/replay/replay.js";
import { hexOf, parseVector, type Vector } from "../tools/replay/vector.js";

const read = (name: string): Vector[] => {
  const raw = readFileSync(new URL(`./fixtures/${name}`, import.meta.url));
  const lines = gunzipSync(raw).toString("latin1").trim().split("\n");
  return lines.map((line, k) => parseVector(line, k + 1));
};
const NOTHING = { flags: 0, status: 0, integers: false, approximate: false, transcendental: false, memory: [] };
const complaint = ({ i, c }: Vector, { verdict, code, details }: Judged): string =>
  `${verdict} #${i} ${code} ${c}: ${details.join("; ")}`;
const below = (random: Random) => (limit: number) => random.below(limit);

describe("straight lines of 2 to 8 instructions recorded from a processor", () => {
  const vectors = read("cpu-blocks.jsonl.gz");
  const replayer = new Replayer();
  const judged = vectors.map((vector) => ({ vector, judged: replayer.run(vector) }));

  it("leave the recorded state", () => {
    expect(vectors.length).toBeGreaterThan(2000);
    expect(vectors.every(({ b }) => b !== undefined)).toBe(true);
    const bad = judged.filter(({ judged: { verdict } }) => verdict !== "pass");
    expect(bad.map(({ vector, judged: j }) => complaint(vector, j))).toEqual([]);
  });

  it("include some that an exception ended in the middle", () => {
    const ended = vectors.filter(({ x, ip }) => x !== undefined && (ip ?? 0) > 0);
    expect(ended.length).toBeGreaterThan(200);
  });
});

describe("an instruction among neutral ones", () => {
  const vectors = ["cpu-vectors.jsonl.gz", "cpu-vectors-mmx.jsonl.gz", "cpu-vectors-x87.jsonl.gz"]
    .flatMap(read)
    // VEX and EVEX are not offered.
    .filter(({ c }) => !/^(65)?(67)?(62|c4|c5)/.test(c));
  const replayer = new Replayer();

  it("leaves the recorded state", () => {
    const random = new Random(2026);
    const bad = vectors
      .map((vector) => ({ vector, judged: replayer.runPadded(vector, below(random)) }))
      .filter(({ judged: { verdict } }) => verdict !== "pass" && verdict !== "notOffered");
    expect(bad.map(({ vector, judged }) => complaint(vector, judged))).toEqual([]);
  });

  it("is one of two to eight", () => {
    const random = new Random(1);
    const counts = new Set<number>();
    for (let k = 0; k < 500; k++) {
      const code = Uint8Array.of(0x48, 0x01, 0xd8);
      const { bytes, lead, tail, count, before } = pad(code, below(random));
      expect(hexOf(bytes.subarray(lead, lead + 3))).toBe("4801d8");
      expect(bytes.length).toBe(lead + 3 + tail);
      expect(before).toBeLessThan(count);
      counts.add(count);
    }
    expect([...counts].sort()).toEqual([2, 3, 4, 5, 6, 7, 8]);
  });
});

describe.each([64, 32] as const)("neutral instructions in %i-bit code", (bits) => {
  it("leave everything but RIP as it is", () => {
    const random = new Random(3);
    const machine = new RecorderMachine();
    const state = emptyState(bits);
    const registers = bits === 64 ? 16 : 8;
    for (let k = 0; k < registers; k++) {
      state.gpr.fill(k + 1, 8 * k, 8 * k + bits / 8);
      state.xmm.fill(0xf0 - k, 16 * k, 16 * k + 16);
    }
    state.rflags = 0xad7 | 0x202;
    for (let k = 0; k < 400; k++) {
      const code = Uint8Array.from(neutral(below(random), bits));
      expect(classify(code, bits)?.length).toBe(code.length);
      const { state: after, raised } = machine.execute(code, state, { bits });
      expect(raised).toBeNull();
      const changed = differences(NOTHING, { ...state, rip: code.length }, null, { state: after, raised });
      expect(changed, hexOf(code)).toEqual([]);
    }
  });
});
