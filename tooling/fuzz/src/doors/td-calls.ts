import { fixed, knock as tdcall, world } from "../../../../packages/tdx/test/guest/door.js";
import { knock as seamcalls } from "../../../../packages/tdx/test/module/door.js";
import { Random as TdxRandom } from "../../../../packages/tdx/test/module/random.js";
import { type Door, Violation } from "../door.js";
import { Random } from "../random.js";

const SEAMCALLS = 500;
const TDCALLS = 1000;

/** What a host and a guest ask of the TDX module. */
export const tdCalls: Door = {
  name: "td-calls",
  summary: "SEAMCALLs and TDCALLs with any registers, for a TDX module with TDs in all kinds of states",
  // Calls in a row, and all that must hold between them.
  computes: true,
  check: (seed) => {
    const random = new Random(seed);
    const reached = seamcalls(new TdxRandom(random.word()), SEAMCALLS);
    const td = world();
    const before = fixed(td);
    const statuses = new Set<string>();
    for (let k = 0; k < TDCALLS; k++) {
      const { problem, status } = tdcall(td, (below = 2 ** 32) => random.below(below));
      if (problem !== undefined) throw new Violation("tdcall", problem);
      if (status !== undefined) statuses.add(status);
    }
    if (fixed(td) !== before) throw new Violation("changed", "a guest has changed what is not its own");
    return {
      sums: {
        SEAMCALLs: SEAMCALLS,
        TDCALLs: TDCALLS,
        "statuses of SEAMCALLs": reached.size,
        "statuses of TDCALLs": statuses.size,
      },
    };
  },
};
