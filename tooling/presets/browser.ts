// What packages that also run in browsers share in their tests.
import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { temporaryFolder } from "@vm/presets/testing";
import { build } from "tsup";
import { expect, it } from "vitest";

/**
 * A test that the package, bundled for a browser, is one file that imports `imports` and nothing else, and asks for nothing of Node's.
 * @param contains a name that must be in it
 */
export function testBrowserBundle(contains: string, ...imports: readonly string[]): void {
  it("bundled for a browser, the package imports no more than it should and asks for nothing of Node's", async () => {
    const outDir = temporaryFolder();
    const entry = [join(process.cwd(), "src/index.ts")];
    await build({ config: false, entry, outDir, platform: "browser", format: "esm", splitting: false, silent: true });
    const [file = "", ...more] = readdirSync(outDir);
    const text = readFileSync(join(outDir, file), "utf8");
    expect(more).toEqual([]);
    expect(text).toContain(contains);
    const sources = [...text.matchAll(/\b(?:from|import) "(.*?)"/g)].map(([, source]) => source);
    expect(new Set(sources)).toEqual(new Set(imports));
    // Comments are gone from a bundle; what is left is code.
    expect(text.match(/\brequire\(.*|\b(?:process|Buffer)\..*/gm)).toBeNull();
    for (const name of builtinModules) expect(text).not.toContain(`"node:${name}"`);
  });
}
