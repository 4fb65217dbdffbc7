import type { Mapping } from "./mapping.js";

/** A piece of a read or write that lies in one cluster. */
export interface Extent {
  readonly mapping: Mapping;
  /** Index of the cluster on the disk. */
  readonly cluster: number;
  /** Bytes of the cluster before it. */
  readonly within: number;
  readonly bytes: Uint8Array;
}

/** Joins extents that one read can serve. */
export function runsOf(extents: readonly Extent[], clusterSize: number): Extent[][] {
  const runs: Extent[][] = [];
  for (const extent of extents) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    if (run !== undefined && last !== undefined && continues(last.mapping, extent.mapping, clusterSize))
      run.push(extent);
    else runs.push([extent]);
  }
  return runs;
}

function continues(before: Mapping, after: Mapping, clusterSize: number): boolean {
  if (before.kind === "data" && after.kind === "data") return after.offset === before.offset + clusterSize;
  return before.kind === after.kind && (before.kind === "none" || before.kind === "zero");
}
