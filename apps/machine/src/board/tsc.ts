import type { Vcpu } from "@vm/cpu";

/** The TSC of a processor, which counts virtual nanoseconds, as devices want it: when it reads, or read, a number of ticks. */
export const tscOf = (vcpu: () => Pick<Vcpu, "tscOffset">) => ({
  tscToNs: (ticks: number): number => {
    const { hi, lo } = vcpu().tscOffset;
    return ticks - (hi * 2 ** 32 + (lo >>> 0));
  },
});
