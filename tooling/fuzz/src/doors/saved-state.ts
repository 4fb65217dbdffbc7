import { type Sound, soundMachines, spoil, tryOut } from "../../../../apps/machine/test/snapshot/hostile.js";
import type { Door } from "../door.js";
import { Random } from "../random.js";

let machines: Promise<readonly Sound[]> | null = null;

/** Saved machines whose states somebody has made up. */
export const savedState: Door = {
  name: "saved-state",
  summary: "states of saved machines, with wrong, missing, extra and huge values, restored and run",
  check: async (seed, opened) => {
    machines ??= soundMachines();
    const random = new Random(seed);
    const sound = random.pick(await machines);
    const copy = structuredClone({ meta: sound.snapshot.meta, state: sound.snapshot.state });
    spoil(random.chance(15) ? copy.meta : copy.state, random);
    opened();
    return { kinds: { state: await tryOut(sound, copy) } };
  },
};
