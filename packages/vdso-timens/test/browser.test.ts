import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "@vm/presets/testing";
import { build } from "tsup";
import { expect, it } from "vitest";

it("bundled for a browser, the package imports nothing but the assembler and asks for nothing of Node's", async () => {
  const outDir = temporaryFolder();
  await build({
    config: false,
    entry: [fileURLToPath(new URL("../src/index.ts", import.meta.url))],
    outDir,
    platform: "browser",
    format: "esm",
    splitting: false,
    silent: true,
  });
  const [file = "", ...more] = readdirSync(outDir);
  const text = readFileSync(join(outDir, file), "utf8");
  expect(more).toEqual([]);
  expect(text).toContain("vdsoImage");
  expect(new Set([...text.matchAll(/\bfrom "(.*?)"/g)].map(([, from]) => from))).toEqual(new Set(["@vm/asm"]));
  // Comments are gone from a bundle; what is left is code.
  expect(text.match(/\brequire\(.*|\b(?:process|Buffer)\..*/gm)).toBeNull();
  for (const name of builtinModules) expect(text).not.toContain(`"node:${name}"`);
});
