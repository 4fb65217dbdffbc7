// Tests run against sources: every @vm/* import resolves to that package's src/index.ts, of @vm/*/node to src/node.ts.
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const root = fileURLToPath(new URL("../../", import.meta.url));
const alias = {};
for (const floor of ["packages", "apps", "tooling"])
  for (const name of readdirSync(`${root}${floor}`)) {
    // The longer name first: an alias covers all that begins with it.
    for (const entry of ["node", "index"]) {
      const file = `${root}${floor}/${name}/src/${entry}.ts`;
      if (existsSync(file)) alias[entry === "index" ? `@vm/${name}` : `@vm/${name}/${entry}`] = file;
    }
  }

export default defineConfig({
  resolve: { alias },
  test: {
    include: ["test/**/*.test.ts"],
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
