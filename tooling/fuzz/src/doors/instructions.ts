import { type Door, Violation } from "../door.js";
import { check } from "../instructions/check.js";

/** The first door of all: what a guest executes. */
export const instructions: Door = {
  name: "instructions",
  summary: "random instruction streams in random modes, on the vCPU and the MMU",
  computes: true,
  check: (seed) => {
    const { failure, retired, events, mode, exit } = check(seed);
    if (failure !== null) throw new Violation(failure.violation, failure.detail);
    return {
      sums: { instructions: retired, "exceptions and interrupts": events },
      kinds: { "began in": mode, "ended by": exit },
    };
  },
};
