import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "@vm/presets/testing";
import { describe, expect, it } from "vitest";
import { CLI, Running, vm } from "../cli.js";
import { bootFlags, guests } from "./debian.js";

const guide = readFileSync(new URL("../../../docs/introspection.md", import.meta.url), "utf8");
/** Where a script finds the packages. */
const HERE = fileURLToPath(new URL("../..", import.meta.url));

/** Examples that say what they print. */
const EXAMPLES = [
  ...guide.matchAll(/^```(sh|js)\n((?:(?!```).*\n)*)```\n\nprints lines such as\n\n```text\n((?:(?!```).*\n)*)```$/gm),
].map(([, language = "", code = "", lines = ""]) => ({ language, code, lines: lines.trimEnd().split("\n") }));
const GUEST = /--exec '(.*)'$/m.exec(guide)?.[1] ?? "";

/** A line of which everything that differs from one run to the next is left out. */
const shape = (line: string): string => line.replace(/0x[0-9a-f]+/g, "0x").replace(/\d+(\.\d+)?/g, "N");

describe.skipIf(guests === null)("the guide to introspection", () => {
  it("every example prints what the guide says", async () => {
    const folder = temporaryFolder();
    const socket = join(folder, "introspector");
    const machine = vm(...bootFlags("6.1"), "--kvmi", socket, "--exec", GUEST);
    expect(EXAMPLES.length).toBe(8);
    for (const { language, code, lines } of EXAMPLES) {
      const here = code
        .replaceAll("/tmp/introspector", socket)
        .replaceAll("/tmp/System.map", join(folder, "System.map"));
      const args = language === "js" ? ["--input-type=module", "-e", here] : [CLI, ...here.trim().split(" ").slice(1)];
      const { status, stdout, stderr } = await new Running(process.execPath, args, HERE).ended;
      expect([code, status, stderr]).toEqual([code, 0, ""]);
      const printed = stdout.replaceAll(folder, "/tmp").split("\n").map(shape);
      for (const line of lines)
        expect(
          printed.some((each) => each.startsWith(shape(line))),
          `${line} in\n${stdout}`,
        ).toBe(true);
    }
    machine.process.kill();
    await machine.ended;
  });
});
