/** What a program has used of its host so far; null where the host does not tell. */
export interface HostUsage {
  /** CPU seconds of all threads, user and system. */
  readonly cpuSeconds: number | null;
  /** CPU seconds of the thread the guest runs on. */
  readonly cpuSecondsMain: number | null;
  readonly peakRssBytes: number | null;
}

/** What Node tells about this process; nothing in browsers. */
export function processUsage(): HostUsage {
  if (typeof process === "undefined" || typeof process.resourceUsage !== "function") {
    return { cpuSeconds: null, cpuSecondsMain: null, peakRssBytes: null };
  }
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  // Node 24 has it; the types of the oldest supported version do not.
  const thread = (process as { threadCpuUsage?: () => { user: number; system: number } }).threadCpuUsage?.();
  return {
    cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
    cpuSecondsMain: thread === undefined ? null : (thread.user + thread.system) / 1e6,
    peakRssBytes: maxRSS * 1024,
  };
}
