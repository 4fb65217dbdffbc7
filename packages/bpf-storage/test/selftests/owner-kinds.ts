import { MapType } from "../../src/index.js";

export type OwnerKind = "tasks" | "inodes" | "sockets" | "cgroups";

/** Types of the maps of each kind of owners. */
export const STORAGE_TYPES = {
  tasks: MapType.TaskStorage,
  inodes: MapType.InodeStorage,
  sockets: MapType.SkStorage,
  cgroups: MapType.CgrpStorage,
} as const;
