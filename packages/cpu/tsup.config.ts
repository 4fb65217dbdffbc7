import presets from "@vm/presets/tsup";
import { defineConfig } from "tsup";

export default defineConfig([
  presets as object,
  // Vector replay and live differential: development tools, run from a built workspace and not part of the package.
  {
    entry: { vectors: "tools/vectors.ts", oracle: "tools/oracle.ts" },
    format: ["esm"],
    target: "es2022",
    external: ["iced-x86"],
    splitting: false,
  },
]);
