import preset from "@vm/presets/tsup";
import { defineConfig } from "tsup";

export default defineConfig({ ...preset, entry: { index: "src/index.ts", node: "src/node.ts" } });
