import type { HostArguments } from "../../engine/helpers.js";
import type { HelperContext, HelperEntry } from "./types.js";

const remove = (args: HostArguments, { storageDelete }: HelperContext): number =>
  storageDelete(args.low(0), args.low(1), args.high(1));

/** Helpers of local storage; what finds and makes it is generated code. */
export const STORAGE_HELPERS: readonly HelperEntry[] = [
  { id: 108, name: "sk_storage_delete", call: remove },
  { id: 146, name: "inode_storage_delete", call: remove },
  { id: 157, name: "task_storage_delete", call: remove },
  { id: 211, name: "cgrp_storage_delete", call: remove },
];

/** Numbers of the helpers `sk_storage_get`, `inode_storage_get`, `task_storage_get` and `cgrp_storage_get`. */
export const STORAGE_GET: ReadonlySet<number> = new Set([107, 145, 156, 210]);
