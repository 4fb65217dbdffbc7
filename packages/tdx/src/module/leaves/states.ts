import { OpState } from "../td.js";

/** Where the memory of a TD can be changed: from MNG.INIT on. */
export const BUILT: readonly OpState[] = [OpState.Initialized, OpState.Runnable];
/** Where a TD is being built. */
export const BUILDING: readonly OpState[] = [OpState.Initialized];
/** Where it can run. */
export const RUNNABLE: readonly OpState[] = [OpState.Runnable];
