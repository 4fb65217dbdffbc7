import { createMachine } from "@vm/machine";
import type { Door } from "../door.js";
import { program } from "../guest/program.js";
import { Random } from "../random.js";

/** Turns of the event loop that a guest is given. */
const TURNS = 20;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A whole machine whose guest does what costs the host most. */
export const guest: Door = {
  name: "guest",
  summary: "a guest on a whole machine that repeats what costs the host most",
  check: async (seed, opened) => {
    const random = new Random(seed);
    const clock = random.pick(["host", "icount"] as const);
    const kernel = program(random);
    const machine = await createMachine({ kernel, memory: 16 * 2 ** 20, cpus: random.pick([1, 1, 2, 4]), clock });
    let ended = false;
    await turn();
    opened();
    const end = machine.run().finally(() => {
      ended = true;
    });
    for (let turns = 0; turns < TURNS && !ended; turns++) await turn();
    machine.stop();
    const exit = await end;
    if (exit.reason === "internal-error") throw exit.error;
    return { sums: { instructions: machine.stats().instructions }, kinds: { "ended by": exit.reason, clock } };
  },
};
