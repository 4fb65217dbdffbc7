import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { Running } from "../cli.js";
import { guests } from "./debian.js";

const guide = readFileSync(new URL("../../../docs/plugins.md", import.meta.url), "utf8");
/** Where a script finds the packages. */
const HERE = fileURLToPath(new URL("../..", import.meta.url));

/** Examples that say what they print. */
const EXAMPLES = [
  ...guide.matchAll(/^```js\n((?:(?!```).*\n)*)```\n\nprints lines such as\n\n```text\n((?:(?!```).*\n)*)```$/gm),
].map(([, code = "", lines = ""]) => ({ code, lines: lines.trimEnd().split("\n") }));

/** Node 20 knows no `using`. */
const runnable = (code: string): string => {
  const declared = /await using (\w+) =/.exec(code);
  if (declared === null) return code;
  const [using, name] = declared;
  return `${code.replace(using, `const ${name} =`)}\nawait ${name}[Symbol.asyncDispose]();`;
};

it("has examples", () => {
  expect(EXAMPLES.map(({ code }) => code.includes("@vm/guests"))).toEqual([false, true, true, true, true]);
});

describe.skipIf(guests === null)("the guide to plugins", () => {
  it.each(EXAMPLES)("$lines.0", async ({ code, lines }) => {
    const { status, stdout, stderr } = await new Running(
      process.execPath,
      ["--input-type=module", "-e", runnable(code)],
      HERE,
    ).ended;
    expect([status, stderr]).toEqual([0, ""]);
    const printed = stdout.split(/\r?\n/);
    for (const line of lines)
      expect(
        printed.some((each) => each.startsWith(line)),
        `${line} in\n${stdout}`,
      ).toBe(true);
  });
});
