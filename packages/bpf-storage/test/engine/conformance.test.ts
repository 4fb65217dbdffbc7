import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { runConformance } from "../../src/engine/conformance.js";
import { encodeInsns } from "../../src/isa/insn.js";
import { assemble } from "./assemble.js";
import { ENGINES } from "./harness.js";

/** A checkout of github.com/Alan-Jowett/bpf_conformance. */
const suite = process.env.VM_BPF_CONFORMANCE;

interface Case {
  readonly name: string;
  readonly assembly: string;
  readonly memory: Uint8Array;
  /** Hexadecimal, without 0x. */
  readonly result: string;
}

/** Sections of a .data file, by name. */
function sections(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let section: string[] = [];
  for (const line of text.split("\n")) {
    const name = /^-- (.*)$/.exec(line.trim())?.[1];
    if (name !== undefined) {
      section = [];
      found.set(name, section);
    } else section.push(line.replace(/#.*/, "").trim());
  }
  return found;
}

const cases: readonly Case[] =
  suite === undefined
    ? []
    : readdirSync(`${suite}/tests`)
        .filter((name) => name.endsWith(".data"))
        .map((name): Case => {
          const parts = sections(readFileSync(`${suite}/tests/${name}`, "utf8"));
          const bytes = (parts.get("mem") ?? []).join(" ").split(/\s+/).filter(Boolean);
          return {
            name,
            assembly: (parts.get("asm") ?? []).join("\n"),
            memory: Uint8Array.from(bytes, (byte) => Number.parseInt(byte, 16)),
            result: BigInt((parts.get("result") ?? []).join("") || "0").toString(16),
          };
        });

// The suite is not ours to have here: without a checkout this says what it would take.
if (suite === undefined) test.skip("VM_BPF_CONFORMANCE names no checkout of bpf_conformance", () => undefined);
else {
  test("the suite has 313 tests or more", () => {
    expect(cases.length).toBeGreaterThanOrEqual(313);
  });
  for (const engine of ENGINES)
    test.each(cases)(`${engine}: $name`, ({ assembly, memory, result }) => {
      expect(runConformance({ program: encodeInsns(assemble(assembly)), memory, engine })).toBe(result);
    });
}
