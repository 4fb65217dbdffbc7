import type { Door } from "../door.js";
import { bpfGuest } from "./bpf-guest.js";
import { bpfObject } from "./bpf-object.js";
import { btf } from "./btf.js";
import { devices } from "./devices.js";
import { execFrames } from "./exec-frames.js";
import { fwCfg } from "./fw-cfg.js";
import { guest } from "./guest.js";
import { instructions } from "./instructions.js";
import { kallsyms } from "./kallsyms.js";
import { kvmiClient } from "./kvmi-client.js";
import { kvmiServer } from "./kvmi-server.js";
import { loaders } from "./loaders.js";
import { processList } from "./processes.js";
import { qcow2 } from "./qcow2.js";
import { savedState } from "./saved-state.js";
import { snapshot } from "./snapshot.js";
import { tdCalls } from "./td-calls.js";
import { tdEventLog } from "./td-event-log.js";
import { tdFirmware } from "./td-firmware.js";
import { tdQuote } from "./td-quote.js";
import { timensOffsets } from "./timens-offsets.js";
import { virtioBlk } from "./virtio-blk.js";
import { virtioConsole } from "./virtio-console.js";
import { virtioRng } from "./virtio-rng.js";
import { vvarPages } from "./vvar-pages.js";

/** Every door; the names are those of `npm run fuzz -- --door NAME`. */
export const doors: readonly Door[] = [
  instructions,
  guest,
  devices,
  fwCfg,
  execFrames,
  kvmiServer,
  loaders,
  kvmiClient,
  btf,
  kallsyms,
  processList,
  qcow2,
  snapshot,
  savedState,
  virtioBlk,
  virtioConsole,
  virtioRng,
  timensOffsets,
  vvarPages,
  bpfObject,
  bpfGuest,
  tdQuote,
  tdEventLog,
  tdFirmware,
  tdCalls,
];
