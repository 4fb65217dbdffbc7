import { ITERATION_HELPERS } from "./iterate.js";
import { MAP_HELPERS } from "./maps.js";
import { OUTPUT_HELPERS } from "./output.js";
import { PRINT_HELPERS } from "./print.js";
import { PROBE_HELPERS } from "./probes.js";
import { STORAGE_HELPERS } from "./storage.js";
import { SYSTEM_HELPERS } from "./system.js";
import type { HelperEntry } from "./types.js";

/** Helpers that the runtime executes, by number; a few more are generated code or the engine's own. */
export const HELPERS: ReadonlyMap<number, HelperEntry> = new Map(
  [
    ...ITERATION_HELPERS,
    ...PRINT_HELPERS,
    ...MAP_HELPERS,
    ...SYSTEM_HELPERS,
    ...PROBE_HELPERS,
    ...OUTPUT_HELPERS,
    ...STORAGE_HELPERS,
  ].map((entry) => [entry.id, entry]),
);
