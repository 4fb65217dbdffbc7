import { DYNPTR_HELPERS } from "./dynptr.js";
import { ITERATION_HELPERS } from "./iterate.js";
import { MAP_HELPERS } from "./maps.js";
import { OUTPUT_HELPERS } from "./output.js";
import { POINTER_HELPERS } from "./pointers.js";
import { PRINT_HELPERS } from "./print.js";
import { PROBE_HELPERS } from "./probes.js";
import { SKB_HELPERS } from "./skb.js";
import { SOCKET_HELPERS } from "./sockets.js";
import { STORAGE_HELPERS } from "./storage.js";
import { STRING_HELPERS } from "./strings.js";
import { SYSTEM_HELPERS } from "./system.js";
import { TRACING_HELPERS } from "./tracing.js";
import type { HelperEntry } from "./types.js";
import { XDP_HELPERS } from "./xdp.js";

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
    ...STRING_HELPERS,
    ...DYNPTR_HELPERS,
    ...SKB_HELPERS,
    ...XDP_HELPERS,
    ...SOCKET_HELPERS,
    ...TRACING_HELPERS,
    ...POINTER_HELPERS,
  ].map((entry) => [entry.id, entry]),
);
