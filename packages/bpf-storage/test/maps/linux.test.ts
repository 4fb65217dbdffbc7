import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Call, Replay } from "./replay.js";

/** Sections of the record: what was done with maps of one kind. */
function recorded(): Map<string, Call[]> {
  const sections = new Map<string, Call[]>();
  let lines: Call[] = [];
  for (const text of readFileSync(new URL("linux.jsonl", import.meta.url), "utf8")
    .trimEnd()
    .split("\n")) {
    const line = JSON.parse(text) as Call & { readonly kind?: unknown };
    if (line.op === undefined) {
      lines = [];
      sections.set(line.kind as string, lines);
    } else lines.push(line);
  }
  return sections;
}

describe("what came of random calls on Linux comes of them here:", () => {
  for (const [kind, calls] of recorded())
    test(`${kind}, ${calls.length} calls`, () => {
      const replay = new Replay();
      const before = replay.bench.host.arena.used;
      for (const call of calls) {
        const got = replay.call(call);
        const expected = Object.fromEntries(Object.keys(got).map((name) => [name, call[name]]));
        expect(got, JSON.stringify(call)).toEqual(expected);
      }
      if (kind !== "creates") expect(replay.bench.host.arena.used).toBe(before);
    });
});
