/** Offsets in `struct pvclock_vcpu_time_info` (`arch/x86/include/asm/pvclock-abi.h`), that of the first CPU at the beginning of the page. */
export const PVCLOCK = {
  version: 0,
  tscTimestamp: 8,
  systemTime: 16,
  tscToSystemMul: 24,
  tscShift: 28,
  flags: 29,
} as const;

/** The counters of all CPUs agree: the page of one CPU serves all. */
export const PVCLOCK_TSC_STABLE = 1;
