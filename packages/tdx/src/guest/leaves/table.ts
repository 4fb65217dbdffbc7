import { L2_LEAVES } from "./l2.js";
import type { TdcallLeaf } from "./leaf.js";
import { MEASUREMENT_LEAVES } from "./measurement.js";
import { METADATA_LEAVES } from "./metadata.js";
import { PAGE_LEAVES } from "./page.js";
import { VCPU_LEAVES } from "./vcpu.js";

/** Every TDCALL leaf by its number. TDG.SERVTD.RD and WR (18, 20) are not there, as SERVICE_TD is not in TDX_FEATURES0. */
export const TDCALLS: ReadonlyMap<number, TdcallLeaf> = new Map(
  [...VCPU_LEAVES, ...METADATA_LEAVES, ...PAGE_LEAVES, ...MEASUREMENT_LEAVES, ...L2_LEAVES].map((leaf) => [
    leaf.number,
    leaf,
  ]),
);
