import presets from "@vm/presets/tsup";
import { defineConfig } from "tsup";

export default defineConfig([
  presets as object,
  // The vector replay: a development tool, run from a built workspace and not part of the package.
  { entry: { vectors: "tools/vectors.ts" }, format: ["esm"], target: "es2022", external: ["iced-x86"] },
]);
