import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Differential } from "../tools/engines/differential.js";
import { listing } from "../tools/engines/layout.js";
import { programOf } from "../tools/engines/program.js";
import { Repertoire } from "../tools/engines/repertoire.js";
import { shrink } from "../tools/engines/shrink.js";

/** `npm run engines` goes through as many as wanted. */
const PROGRAMS = 400;

describe("interpreter and regions", () => {
  const differential = new Differential();

  test("random programs leave the same registers, memory and events at the same instruction counts", () => {
    for (let seed = 1; seed <= PROGRAMS; seed++) expect(differential.check(seed)).toBeNull();
  });

  test("the programs go through regions and meet exceptions, interrupts and exits", () => {
    const { programs, instructions, inRegions, regions, faults, interrupts, exits } = differential.met;
    expect(programs).toBe(PROGRAMS);
    expect(inRegions / instructions).toBeGreaterThan(0.25);
    expect(regions).toBeGreaterThan(5 * PROGRAMS);
    expect(faults).toBeGreaterThan(5 * PROGRAMS);
    expect(interrupts).toBeGreaterThan(PROGRAMS / 4);
    expect(exits).toBeGreaterThan(PROGRAMS / 4);
  });
});

describe("programs on which the engines differed once", () => {
  const lines = readFileSync(new URL("fixtures/engines/found.jsonl", import.meta.url), "utf8")
    .trim()
    .split("\n");
  const differential = new Differential();

  test.each(lines.map((line) => ({ line, name: JSON.parse(line).name as string })))("$name", ({ line }) => {
    expect(differential.again(line)).toBeNull();
  });
});

describe("the programs", () => {
  test("are drawn from all instructions that the decoder knows in 64-bit mode", () => {
    const { names } = new Repertoire({ privileged: true });
    expect(names.length).toBeGreaterThan(450);
    expect(names).toEqual(
      expect.arrayContaining(["add", "fadd", "pshufb", "rcl", "movs", "xsave", "cmpxchg8b", "iret"]),
    );
  });

  test("follow from their seeds", () => {
    expect(programOf(7)).toEqual(programOf(7));
    expect(programOf(8)).not.toEqual(programOf(7));
  });

  test("are shrunk to what a difference needs", () => {
    const hasCall = (text: string): boolean => /\bcall qword/.test(text);
    let seed = 1;
    while (!hasCall(listing(programOf(seed)))) seed++;
    const small = shrink(programOf(seed), (program) => hasCall(listing(program)));
    expect(small.parts.filter(({ bytes }) => bytes.length > 0).length).toBe(1);
    expect(small.events).toEqual([]);
    expect(small.length).toBe(1);
  });
});
