import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Replayer } from "../tools/replay/replay.js";
import { parseVector } from "../tools/replay/vector.js";

/** Every uncompressed file of vectors: facts worth a name, and differences the oracle found, as simple as it could make them. */
const FOLDER = new URL("./fixtures/", import.meta.url);

describe("on a processor", () => {
  const replayer = new Replayer();
  const rows = readdirSync(FOLDER)
    .filter((name) => name.endsWith(".jsonl"))
    .flatMap((name) => {
      const lines = readFileSync(new URL(name, FOLDER), "latin1").trim().split("\n");
      return lines.map((line, k) => {
        const vector = parseVector(line, k + 1);
        return { name: vector.name ?? `${name}:${k + 1}`, vector };
      });
    });

  it.each(rows)("$name", ({ vector }) => {
    const { verdict, details } = replayer.run(vector);
    expect(details).toEqual([]);
    expect(verdict).toBe("pass");
  });
});
