import preset from "@vm/presets/tsup";
import { defineConfig } from "tsup";

export default defineConfig({ ...preset, entry: ["src/cli.ts", "src/v86-run.ts"], dts: false });
