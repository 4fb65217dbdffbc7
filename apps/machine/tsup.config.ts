import preset from "@vm/presets/tsup";
import { defineConfig } from "tsup";

export default defineConfig({
  ...preset,
  // An optional dependency, imported where WebAssembly text is asked for.
  external: ["wabt"],
  entry: { index: "src/index.ts", browser: "src/browser.ts", node: "src/node.ts", cli: "src/cli/main.ts" },
});
