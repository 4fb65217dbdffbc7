import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "tsup";
import { expect, it } from "vitest";

it("bundled for a browser, the package imports nothing and asks for nothing of Node's", async () => {
  const outDir = mkdtempSync(join(tmpdir(), "kvmi-browser-"));
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
  rmSync(outDir, { recursive: true });
  expect(more).toEqual([]);
  expect(text).toContain("KvmiServer");
  // Comments are gone from a bundle; what is left is code.
  expect(text.match(/^import\b.*|\bfrom ".*"|\brequire\(.*|\b(?:process|Buffer)\..*/gm)).toBeNull();
  for (const name of builtinModules) expect(text).not.toContain(`"node:${name}"`);
});
