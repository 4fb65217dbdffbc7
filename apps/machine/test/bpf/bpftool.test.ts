import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { about, loadedSource, objectPath, printed } from "./inventory.js";

const PINS = `/sys/fs/bpf/vm-test-${process.pid}`;

/** Why bpftool is not asked; null if it is. */
function whyNot(): string | null {
  if (process.env.VM_TEST_BPFTOOL !== "1") return "VM_TEST_BPFTOOL=1 would load programs into this kernel";
  if (process.getuid?.() !== 0) return "it takes root";
  if (statSync("/sys/fs/bpf", { throwIfNoEntry: false })?.isDirectory() !== true) return "there is no /sys/fs/bpf";
  try {
    execFileSync("bpftool", ["version"], { stdio: "ignore" });
    return null;
  } catch {
    return "there is no bpftool";
  }
}

const reason = whyNot();
const bpftool = (...args: readonly string[]): string => execFileSync("bpftool", args, { encoding: "utf8" });
const idsOf = (what: "prog" | "map"): { readonly id: number; readonly name: string; readonly btf_id?: number }[] =>
  JSON.parse(bpftool("-j", what, "show"));

/** Without what differs from one load to another, and what is measured otherwise: ids, times, memory, tags, which newer kernels make by SHA-256. */
const shape = (text: string): string =>
  text
    .replace(/^\d+: /gm, "N: ")
    .replace(/(map_ids|btf_id|prog_ids) [\d,]+/g, "$1 N")
    .replace(/loaded_at \S+/g, "loaded_at T")
    .replace(/memlock \d+B/g, "memlock B")
    .replace(/tag [0-9a-f]{16}/g, "tag T")
    .replace(/(?:not )?jited(?: \d+B)?/g, "jited")
    .replace(/map\[id:\d+\]/g, "map[id:N]");

/** The names of members, in their order. */
const keys = (json: string): string[] => Object.keys(JSON.parse(json) as object).filter((key) => key !== "bytes_jited");

describe.skipIf(reason !== null)(
  `bpftool and the kernel that runs this say the same${reason === null ? "" : ` (${reason})`}`,
  () => {
    const ask = about(loadedSource("values"));
    const before = new Set<number>();

    beforeAll(() => {
      for (const { id } of idsOf("map")) before.add(id);
      for (const folder of [PINS, `${PINS}/progs`, `${PINS}/maps`]) mkdirSync(folder);
      bpftool("prog", "loadall", objectPath("values"), `${PINS}/progs`, "pinmaps", `${PINS}/maps`);
    });
    afterAll(() => rmSync(PINS, { recursive: true, force: true }));

    const progOf = (name: string): string[] => ["pinned", `${PINS}/progs/${name}`];
    const mapOf = (name: string): string[] => [
      "id",
      `${idsOf("map").find((map) => map.name === name && !before.has(map.id))?.id}`,
    ];

    it("about programs", async () => {
      for (const name of ["tail", "entry", "pass"]) {
        const theirs = bpftool("prog", "show", ...progOf(name));
        // What the kernel makes of calls of helpers has another length.
        const length = (text: string): string => text.replace(/xlated \d+B/, "xlated B");
        expect(length(shape(await printed(ask, "prog", "show", `name ${name}`)))).toBe(length(shape(theirs)));
        expect(keys(await printed(ask, "prog", "show", `name ${name}`, true))).toEqual(
          keys(bpftool("-j", "prog", "show", ...progOf(name))),
        );
      }
      for (const name of ["tail", "pass"])
        expect(shape(await printed(ask, "prog", "dump", `xlated name ${name}`))).toBe(
          shape(bpftool("prog", "dump", "xlated", ...progOf(name))),
        );
    });

    it("about maps", async () => {
      // The program that owned the jumps is known to both; libbpf 1.1 puts them in when it loads, and bpftool takes them out when it ends.
      for (const name of ["one", "narrow", "broad", "hash", "values.data", "percpu", "outer"]) {
        expect(shape(await printed(ask, "map", "show", `name ${name}`))).toBe(
          shape(bpftool("map", "show", ...mapOf(name))),
        );
        expect(keys(await printed(ask, "map", "show", `name ${name}`, true))).toEqual(
          keys(bpftool("-j", "map", "show", ...mapOf(name))),
        );
      }
      for (const name of ["one", "narrow", "broad", "hash", "values.data"]) {
        expect(await printed(ask, "map", "dump", `name ${name}`)).toBe(bpftool("map", "dump", ...mapOf(name)));
        expect(await printed(ask, "map", "dump", `name ${name}`, true)).toBe(
          bpftool("-p", "map", "dump", ...mapOf(name)),
        );
      }
    });

    it("about types", async () => {
      const { btf_id: id } = JSON.parse(bpftool("-j", "prog", "show", ...progOf("entry"))) as { btf_id: number };
      expect(await printed(ask, "btf", "dump", "id 1")).toBe(bpftool("btf", "dump", "id", `${id}`));
      expect(await printed(ask, "btf", "dump", "id 1", true)).toBe(bpftool("-p", "btf", "dump", "id", `${id}`));
    });
  },
);
