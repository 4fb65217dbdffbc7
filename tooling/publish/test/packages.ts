import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@vm/presets/testing";

/** A built package `@t/sample` with one entry, made of its declarations and its code. */
export function samplePackage(types: string, code: string): string {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "dist"));
  const exports = {
    ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
    "./package.json": "./package.json",
  };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "@t/sample", type: "module", exports }));
  writeFileSync(join(folder, "dist/index.d.ts"), types);
  writeFileSync(join(folder, "dist/index.js"), code);
  return folder;
}
