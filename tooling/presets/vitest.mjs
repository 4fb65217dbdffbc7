// Tests run against sources: every entry of an @vm/* package, `dist/NAME.d.ts` in its manifest, resolves to its src/NAME.ts.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { readmeExamples } from "./readme.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folders = ["packages", "apps", "tooling"].flatMap((floor) =>
  readdirSync(`${root}${floor}`).map((name) => `${root}${floor}/${name}`),
);
const alias = folders
  .filter((folder) => existsSync(`${folder}/package.json`))
  .flatMap((folder) => {
    const { name, exports = {} } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
    return Object.entries(exports).flatMap(([path, { types }]) => {
      const source = types?.match(/^\.\/dist\/(.*)\.d\.ts$/)?.[1];
      return source
        ? [{ find: new RegExp(`^${name}${path.slice(1)}$`), replacement: `${folder}/src/${source}.ts` }]
        : [];
    });
  });

export default defineConfig({
  plugins: [readmeExamples],
  resolve: { alias },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: fileURLToPath(new URL("temporary.mjs", import.meta.url)),
    setupFiles: fileURLToPath(new URL("heartbeat.mjs", import.meta.url)),
    maxWorkers: "100%",
    // Files share modules, the generated interpreter above all: no test file depends on a fresh one.
    isolate: false,
    restoreMocks: true,
    unstubEnvs: true,
    // For what hangs, not for what is slow on a busy machine.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // The report is what tooling/scripts adds up over the packages.
    reporters: ["default", ["json", { outputFile: "coverage/report.json" }]],
  },
});
