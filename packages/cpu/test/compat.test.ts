import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { chooseSelector, otherDescriptors } from "../tools/oracle/segment-operands.js";
import { Random } from "../tools/random.js";
import { Replayer } from "../tools/replay/replay.js";
import { cacheOf, descriptorOf, formatSegments, initialSelectors, parseSegments } from "../tools/replay/segments.js";
import { parseVector } from "../tools/replay/vector.js";

describe("code of 16 and 32 bits in segments of all kinds, recorded from a processor", () => {
  const raw = readFileSync(new URL("./fixtures/cpu-compat.jsonl.gz", import.meta.url));
  const lines = gunzipSync(raw).toString("latin1").trim().split("\n");
  const replayer = new Replayer();
  const judged = lines.map((line, k) => {
    const vector = parseVector(line, k + 1);
    return { vector, ...replayer.run(vector) };
  });
  const of = (bits: 16 | 32 | undefined) => judged.filter(({ vector }) => vector.mode === bits);

  it.each([16, 32] as const)("%i-bit code leaves the recorded state", (bits) => {
    const group = of(bits);
    expect(group.length).toBeGreaterThan(1500);
    const bad = group.filter(({ verdict }) => verdict !== "pass");
    expect(bad.map(({ vector, code, details }) => `#${vector.i} ${code} ${vector.c}: ${details.join("; ")}`)).toEqual(
      [],
    );
  });

  it("so do segment loads and far transfers of 64-bit code", () => {
    const group = of(undefined);
    expect(group.length).toBeGreaterThan(500);
    const bad = group.filter(({ verdict }) => verdict !== "pass");
    expect(bad.map(({ vector, code, details }) => `#${vector.i} ${code} ${vector.c}: ${details.join("; ")}`)).toEqual(
      [],
    );
  });

  it("are also about what is not in 64-bit mode", () => {
    const mnemonics = new Set(judged.filter(({ verdict }) => verdict === "pass").map(({ mnemonic }) => mnemonic));
    for (const name of ["aaa", "aas", "aam", "aad", "daa", "das", "bound", "pusha", "popa", "salc", "les", "lds"])
      expect(mnemonics).toContain(name);
  });
});

describe("segments of a vector", () => {
  const FLAT = { base: 0, limit: 0xffffffff, attributes: 0xc0f3 };
  const SMALL = { base: 0x12345678, limit: 0xabcde, attributes: 0x40fb };

  it("have the descriptors of SDM vol. 3, 3.4.5", () => {
    expect(descriptorOf(FLAT)).toEqual([0xffff, 0x00cff300]);
    expect(descriptorOf(SMALL)).toEqual([0x5678bcde, 0x124afb34]);
  });

  it("read back as written", () => {
    const segments = new Map([
      [1, SMALL],
      [9, FLAT],
    ]);
    expect(formatSegments(segments)).toEqual({ 1: "12345678 abcde 40fb", 9: "0 ffffffff c0f3" });
    expect(parseSegments(formatSegments(segments))).toEqual(segments);
  });

  it("are selected by local selectors of privilege 3, without them registers are Linux's", () => {
    expect(initialSelectors(64, undefined)).toEqual([0x2b, 0x33, 0x2b, 0x2b, 0, 0]);
    expect(initialSelectors(16, new Map([[1, SMALL]]))).toEqual([0x2b, 0xf, 0x2b, 0x2b, 0, 0]);
    expect(cacheOf(1, SMALL)).toMatchObject({ selector: 0xf, baseLo: 0x12345678, limit: 0xabcde });
  });

  it("must be given for code of 16 bits", () => {
    expect(() => parseVector('{"i":1,"s":"1","c":"90","mode":16}', 3)).toThrow(
      'line 3: "mode" is 16, but "sg" has no segment for CS',
    );
  });

  it("can all be loaded, in principle, and chosen selectors lie in or behind the tables", () => {
    const random = new Random(4);
    const others = otherDescriptors(random);
    const selectors = Array.from({ length: 400 }, () => chooseSelector(random, others));
    expect(selectors.every((selector) => selector >= 0 && selector <= 0xffff)).toBe(true);
    const local = selectors.filter((selector) => (selector & 4) !== 0 && others.has(selector >> 3));
    expect(local.length).toBeGreaterThan(150);
    expect(new Set(local.map((selector) => selector >> 3)).size).toBe(others.size);
  });
});
