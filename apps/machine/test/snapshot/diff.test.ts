import { cpSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compareSnapshots } from "../../src/snapshot/compare.js";
import { openSnapshot } from "../../src/snapshot/node/open.js";
import { writeSnapshot } from "../../src/snapshot/node/write.js";
import { differencesOf } from "../../src/snapshot/value-difference.js";
import { run } from "../td/in-process.js";
import { imageOf, memslot } from "./guest-memory.js";
import { temporaryFolder } from "./temporary-folder.js";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const SLOTS = [memslot(0, 0, 128)];

/** Chunks 0 and 3 to 6 in A; in B the same but 3, which is another, 4, which is zeros, and 7, which A has not. */
const A = {
  meta: { cpus: 1, instructions: 9000 },
  state: { vcpus: [{ rip: 16n, gprs: Uint8Array.of(1, 2, 3) }], board: null },
};
const B = {
  meta: { cpus: 1, instructions: 9100 },
  state: { vcpus: [{ rip: 17n, gprs: Uint8Array.of(1, 9, 9) }], board: { pit: "\u001b[2J" } },
};
const PAGES_A = [
  [1, 7],
  [48, 1],
  [64, 2],
  [80, 3],
  [96, 4],
] as const;
const PAGES_B = [
  [1, 7],
  [48, 5],
  [80, 3],
  [96, 4],
  [112, 6],
] as const;

const written = Promise.all([
  writeSnapshot(at("a"), { ...A, memory: imageOf(SLOTS, PAGES_A) }),
  writeSnapshot(at("same"), { ...A, memory: imageOf(SLOTS, PAGES_A) }),
  writeSnapshot(at("b"), { ...B, memory: imageOf(SLOTS, PAGES_B) }),
]);

describe("vm snapshot diff", () => {
  it("tells what differs, by kind", async () => {
    await written;
    expect(await run("snapshot", "diff", at("a"), at("b"))).toEqual({
      status: 1,
      stderr: "",
      stdout: [
        "meta: 1 difference",
        "  instructions: 9000 | 9100",
        "memory only in A: 1 chunk of 64 KiB, 0.1 MB",
        "  0x40000 to 0x4ffff",
        "memory only in B: 1 chunk of 64 KiB, 0.1 MB",
        "  0x70000 to 0x7ffff",
        "memory differs: 1 chunk of 64 KiB, 0.1 MB",
        "  0x30000 to 0x3ffff",
        "state: 3 differences",
        '  vcpus[0].rip: "16" | "17"',
        "  vcpus[0].gprs[1]: 2 | 9",
        '  board: null | {"pit":"\\u001b[2J"}',
        "",
      ].join("\n"),
    });
  });

  it("tells the same as JSON", async () => {
    await written;
    const { status, stdout } = await run("snapshot", "diff", at("b"), at("a"), "--json");
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      same: false,
      meta: { count: 1, first: [{ path: "instructions", a: 9100, b: 9000 }] },
      memslots: { count: 0, first: [] },
      memory: {
        onlyA: { chunks: 1, bytes: 65536, ranges: 1, first: [{ gpa: 0x70000, bytes: 65536 }] },
        onlyB: { chunks: 1, bytes: 65536, ranges: 1, first: [{ gpa: 0x40000, bytes: 65536 }] },
        different: { chunks: 1, bytes: 65536, ranges: 1, first: [{ gpa: 0x30000, bytes: 65536 }] },
      },
      state: { count: 3 },
    });
  });

  it("finds none between a snapshot and one of the same contents", async () => {
    await written;
    expect(await run("snapshot", "diff", at("a"), at("same"))).toEqual({
      status: 0,
      stderr: "",
      stdout: "no difference\n",
    });
  });

  it("finds none between memory that is stored and memory that is in a parent", async () => {
    await written;
    await writeSnapshot(at("child"), { ...A, memory: imageOf(SLOTS, PAGES_A), parent: at("b") });
    expect((await run("snapshot", "diff", at("child"), at("a"))).status).toBe(0);
  });

  it("of what is no snapshot is one sentence", async () => {
    await written;
    cpSync(at("a"), at("broken"), { recursive: true });
    unlinkSync(join(at("broken"), "snapshot"));
    for (const pair of [
      [at("a"), at("broken")],
      [at("none"), at("a")],
    ]) {
      const { status, stderr, stdout } = await run("snapshot", "diff", ...pair);
      expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
      expect(stderr).toMatch(/^vm: .* is not there.*\n$/);
    }
  });
});

describe("what is told", () => {
  it("is no more of a kind than asked for, with neighbours together, and counts the rest", async () => {
    await written;
    const [a, b] = await Promise.all(["a", "b"].map((name) => openSnapshot(at(name))));
    const zeros = { meta: null, state: null, memslots: [], chunks: new Uint32Array(), digestOf: () => null };
    expect(compareSnapshots(a ?? zeros, zeros, 1).memory).toEqual({
      onlyA: { chunks: 5, bytes: 5 * 65536, ranges: 2, first: [{ gpa: 0, bytes: 65536 }] },
      onlyB: { chunks: 0, bytes: 0, ranges: 0, first: [] },
      different: { chunks: 0, bytes: 0, ranges: 0, first: [] },
    });
    expect(compareSnapshots(a ?? zeros, b ?? zeros, 1).state).toMatchObject({ count: 3, first: { length: 1 } });
    for (const snapshot of [a, b]) await snapshot?.close();
  });

  const values: readonly [string, unknown, unknown, readonly string[]][] = [
    [
      "nothing of equal values",
      { a: [1, "x", null, 5n, Uint8Array.of(1)] },
      { a: [1, "x", null, 5n, Uint8Array.of(1)] },
      [],
    ],
    ["a value that is not there", { a: 1 }, {}, ["a"]],
    ["what a list has more", [1, 2], [1], ["[1]"]],
    ["values of two types", { a: { b: 0 } }, { a: { b: "0" } }, ["a.b"]],
    ["a list in the place of a record", { a: {} }, { a: [] }, ["a"]],
    ["names that are no words", { "a b": { __proto__x: 1 } }, { "a b": { __proto__x: 2 } }, ["a b.__proto__x"]],
    ["names that are no words, further down", { a: { "0x": 1 } }, { a: { "0x": 2 } }, ['a["0x"]']],
    [
      "the first byte that differs, and another length",
      Uint8Array.of(1, 2, 3),
      Uint8Array.of(1, 3),
      [".length", "[1]"],
    ],
    ["another length alone", { a: Uint8Array.of(1, 2) }, { a: Uint8Array.of(1) }, ["a.length"]],
  ];
  it.each(values)("of values is %s", (_, a, b, paths) => {
    const { count, first } = differencesOf(a, b, 10);
    expect(first.map(({ path }) => path)).toEqual(paths);
    expect(count).toBe(paths.length);
    expect(differencesOf(b, a, 10).count).toBe(count);
  });
});
