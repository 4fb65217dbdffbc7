import type { SeamcallLeaf } from "../leaf.js";
import { MEM_DEBUG_LEAVES } from "./mem-debug.js";
import { MEM_PAGE_LEAVES } from "./mem-page.js";
import { MEM_RANGE_LEAVES } from "./mem-range.js";
import { MEM_SEPT_LEAVES } from "./mem-sept.js";
import { MEM_SIZE_LEAVES } from "./mem-size.js";
import { METADATA_LEAVES } from "./metadata.js";
import { MNG_LEAVES } from "./mng.js";
import { MNG_INIT_LEAVES } from "./mng-init.js";
import { MR_LEAVES } from "./mr.js";
import { PHYMEM_LEAVES } from "./phymem.js";
import { SYS_CONFIG_LEAVES } from "./sys-config.js";
import { SYS_INFO_LEAVES } from "./sys-info.js";
import { SYS_INIT_LEAVES } from "./sys-init.js";
import { VP_LEAVES } from "./vp.js";
import { VP_ENTER_LEAVES } from "./vp-enter.js";

/**
 * Every SEAMCALL leaf of this module by its number. Not there, and so refused with OPERAND_INVALID and RAX as a module without them does: those of migration
 * (TDH.EXPORT.*, TDH.IMPORT.*, TDH.MIG.STREAM.CREATE) and of service TDs (TDH.SERVTD.*), and TDH.MEM.SEPT.WR, which Intel's has a number for and no more.
 */
export const SEAMCALLS: ReadonlyMap<number, SeamcallLeaf> = new Map(
  [
    ...SYS_INIT_LEAVES,
    ...SYS_CONFIG_LEAVES,
    ...SYS_INFO_LEAVES,
    ...METADATA_LEAVES,
    ...MNG_LEAVES,
    ...MNG_INIT_LEAVES,
    ...VP_LEAVES,
    ...VP_ENTER_LEAVES,
    ...MEM_SEPT_LEAVES,
    ...MEM_PAGE_LEAVES,
    ...MEM_SIZE_LEAVES,
    ...MEM_RANGE_LEAVES,
    ...MEM_DEBUG_LEAVES,
    ...MR_LEAVES,
    ...PHYMEM_LEAVES,
  ].map((leaf) => [leaf.number, leaf]),
);
