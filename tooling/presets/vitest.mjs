// Tests run against sources: every @vm/* import resolves to that package's src/index.ts.
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const root = fileURLToPath(new URL("../../", import.meta.url));
const alias = {};
for (const floor of ["packages", "apps"])
  for (const name of readdirSync(`${root}${floor}`)) alias[`@vm/${name}`] = `${root}${floor}/${name}/src/index.ts`;

export default defineConfig({ resolve: { alias }, test: { include: ["test/**/*.test.ts"], testTimeout: 60_000 } });
