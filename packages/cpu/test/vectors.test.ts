import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { Replayer } from "../tools/replay/replay.js";
import { parseVector } from "../tools/replay/vector.js";

/** Every instruction without MMX and x87 register operands, and those with. */
const FIXTURES = ["cpu-vectors.jsonl.gz", "cpu-vectors-mmx.jsonl.gz", "cpu-vectors-x87.jsonl.gz"];

/** Groups of instructions by the features they need (iced-x86's names); the first group that has all of them counts. */
const GROUPS: readonly (readonly [string, RegExp])[] = [
  [
    "integer",
    /^(INTEL.*|X64|CMOV|CX8|CMPXCHG16B|MULTIBYTENOP|PAUSE|LZCNT|BMI1|POPCNT|MOVBE|ADX|CLF.*|CLWB|PREFETCHW.*)$/,
  ],
  ["MMX", /^MMX$/],
  ["SSE", /^(SSE|MMX)$/],
  ["SSE2", /^(SSE2|MMX)$/],
  ["SSE3", /^SSE3$/],
  ["x87", /^(FPU.*|SSE3)$/],
  ["SSSE3", /^(SSSE3|MMX)$/],
  ["SSE4.1", /^SSE4_1$/],
  ["SSE4.2", /^SSE4_2$/],
  ["AES, PCLMULQDQ and SHA", /^(AES|PCLMULQDQ|SHA)$/],
];

const groupOf = (features: readonly string[]): string =>
  GROUPS.find(([, known]) => features.every((f) => known.test(f)))?.[0] ?? "other";

describe("vectors recorded from a processor", () => {
  const replayer = new Replayer();
  const lines = FIXTURES.flatMap((name) => {
    const raw = readFileSync(new URL(`./fixtures/${name}`, import.meta.url));
    return gunzipSync(raw).toString("latin1").trim().split("\n");
  });
  const judged = lines.map((line, k) => {
    const vector = parseVector(line, k + 1);
    return { vector, ...replayer.run(vector) };
  });

  it.each(GROUPS.map(([name]) => name))("%s instructions leave the recorded state", (name) => {
    const group = judged.filter((j) => j.verdict !== "notOffered" && groupOf(j.features) === name);
    expect(group.length).toBeGreaterThan(50);
    const bad = group
      .filter((j) => j.verdict !== "pass")
      .map((j) => `${j.verdict} #${j.vector.i} ${j.code} ${j.vector.c}: ${j.details.join("; ")}`);
    expect(bad).toEqual([]);
  });

  it("makes no instruction crash the engine", () => {
    expect(judged.filter((j) => j.verdict === "crash").map((j) => `${j.code}: ${j.details.join()}`)).toEqual([]);
  });
});
