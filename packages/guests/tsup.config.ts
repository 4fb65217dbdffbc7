import preset from "@vm/presets/tsup";
import { defineConfig } from "tsup";

export default defineConfig({ ...preset, entry: ["src/index.ts", "src/cli.ts"] });
