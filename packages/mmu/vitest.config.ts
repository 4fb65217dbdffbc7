import preset from "@vm/presets/vitest";
import { mergeConfig } from "vitest/config";

// The exploration of interleavings replaces a module (vi.mock), which must not be the other files' one.
export default mergeConfig(preset, { test: { isolate: true } });
