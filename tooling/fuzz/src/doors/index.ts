import type { Door } from "../door.js";
import { guest } from "./guest.js";
import { instructions } from "./instructions.js";
import { qcow2 } from "./qcow2.js";
import { virtioBlk } from "./virtio-blk.js";
import { virtioConsole } from "./virtio-console.js";
import { virtioRng } from "./virtio-rng.js";

/** Every door; the names are those of `npm run fuzz -- --door NAME`. */
export const doors: readonly Door[] = [instructions, guest, qcow2, virtioBlk, virtioConsole, virtioRng];
