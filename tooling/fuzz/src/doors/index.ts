import type { Door } from "../door.js";
import { execFrames } from "./exec-frames.js";
import { guest } from "./guest.js";
import { instructions } from "./instructions.js";
import { kvmiServer } from "./kvmi-server.js";
import { loaders } from "./loaders.js";

/** Every door; the names are those of `npm run fuzz -- --door NAME`. */
export const doors: readonly Door[] = [instructions, guest, execFrames, kvmiServer, loaders];
