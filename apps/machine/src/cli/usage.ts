import { readFileSync } from "node:fs";
import { type HostUsage, processUsage } from "../host-usage.js";

/** What this process has used so far. Where Node cannot tell a thread's CPU time, Linux can: the first number of schedstat, in ns. */
export function usage(): HostUsage {
  const known = processUsage();
  if (known.cpuSecondsMain !== null || process.platform !== "linux") return known;
  try {
    const [ns] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8").split(" ");
    return { ...known, cpuSecondsMain: Number(ns) / 1e9 };
  } catch {
    // A kernel without scheduler statistics: the number stays unknown.
    return known;
  }
}
