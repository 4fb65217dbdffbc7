import preset from "@vm/presets/vitest";
import { mergeConfig } from "vitest/config";

// The programs under test take a core each, and boots take long: one file at a time.
export default mergeConfig(preset, { test: { fileParallelism: false } });
