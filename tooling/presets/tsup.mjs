import { fileURLToPath } from "node:url";
import { defineConfig } from "tsup";

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

/** Types: of other packages as built, their declarations and not their sources once more. */
export const dts = {
  compilerOptions: { paths: {}, typeRoots: [path("../../node_modules/@types"), path("types")] },
};

// No source maps: the code is not minified and keeps its names, and maps that show the sources are three times the package.
export default defineConfig({
  entry: ["src/index.ts"],
  format: ["esm"],
  dts,
  clean: true,
  target: "es2022",
});
