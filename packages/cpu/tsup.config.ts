import { readFileSync } from "node:fs";
import preset, { dts } from "@vm/presets/tsup";
import { defineConfig } from "tsup";

// Every module that the index names is an entry of its own, so that the index is nothing but re-exports of shared files: a bundler then leaves
// out the files that nothing needs, and `import { decode }` brings the decoder alone.
const parts = [...readFileSync("src/index.ts", "utf8").matchAll(/from "\.\/(.+)\.js"/g)].map(([, name]) => name);

export default defineConfig([
  {
    ...(preset as object),
    entry: { index: "src/index.ts", ...Object.fromEntries(parts.map((name) => [`parts/${name}`, `src/${name}.ts`])) },
    dts: { ...(dts as object), entry: "src/index.ts" },
    // Constants of other files are written out. Read from there they would cost 2 % of a boot.
    esbuildOptions: (options) => {
      options.minifySyntax = true;
    },
  },
  // Vector replay and live differential: development tools, run from a built workspace and not part of the package.
  {
    entry: { vectors: "tools/vectors.ts", oracle: "tools/oracle.ts", engines: "tools/engines.ts" },
    format: ["esm"],
    target: "es2022",
    external: ["iced-x86"],
    splitting: false,
  },
]);
