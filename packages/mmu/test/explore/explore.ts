import { type Faults, Host } from "./host.js";
import { checkNothingLeft, Model } from "./model.js";
import { type Choose, randomFrom, Scheduler } from "./scheduler.js";
import * as tasks from "./tasks.js";

const PROGRAMS = [
  ["populate", tasks.populatePages],
  ["convert", tasks.convert],
  ["punch hole", tasks.punchHole],
  ["user", tasks.userAccess],
  ["unmap", tasks.unmapPage],
  ["device", tasks.deviceWrite],
  ["guest", tasks.guestAccess],
  ["host", tasks.hostAccess],
  ["memslot", tasks.changeMemslot],
  ["mmap", tasks.mapMemory],
] as const;

/** An ordinary guest has the least to go wrong. */
const KINDS = ["in place", "in place", "per VM", "per VM", "all shared"] as const;

/** One VM, a few tasks that each do a few things, and one order in which they go on: all of it follows from `seed`. @throws what went wrong */
export async function explore(seed: number, faults: Faults = {}, outcomes = new tasks.Outcomes()): Promise<void> {
  const choose = randomFrom(seed);
  const scheduler = new Scheduler();
  const kind = KINDS[choose(KINDS.length)] ?? KINDS[0];
  const options = { kind, mirror: choose(2) === 0, inPlaceConversion: choose(2) === 0, faults };
  const host = new Host(options, scheduler);
  await host.prepare();
  const model = new Model(host);
  const world = { host, model, choose, outcomes };
  const bodies = Array.from({ length: 3 + choose(4) }, () => {
    const steps = Array.from({ length: 1 + choose(3) }, () => PROGRAMS[choose(PROGRAMS.length)] ?? PROGRAMS[0]);
    const task = host.newTask(steps.map(([name]) => name).join(", "));
    return async () => {
      for (const [, program] of steps) await program(world, task);
    };
  });
  const early = choose(4) === 0;
  const teardown = (): Promise<void> => tasks.tearDown(world, host.newTask("teardown"));
  await runAll(early ? [...bodies, teardown] : bodies, world, choose);
  if (!early) await runAll([teardown], world, choose);
  checkNothingLeft(host);
}

async function runAll(bodies: readonly (() => Promise<void>)[], { host, model }: tasks.World, choose: Choose) {
  const left = await host.scheduler.run(bodies, choose, () => model.check());
  if (left > 0) throw new Error(`${left} tasks hang`);
}

export interface Failure {
  readonly seed: number;
  readonly message: string;
}

/** What goes wrong with `seed`, if anything does. */
export async function failureOf(
  seed: number,
  faults?: Faults,
  outcomes?: tasks.Outcomes,
): Promise<Failure | undefined> {
  try {
    await explore(seed, faults, outcomes);
    return undefined;
  } catch (error) {
    return { seed, message: error instanceof Error ? error.message : String(error) };
  }
}

/** The first of `count` seeds from `from` on that goes wrong, and how. */
export async function firstFailure(
  from: number,
  count: number,
  faults?: Faults,
  outcomes?: tasks.Outcomes,
): Promise<Failure | undefined> {
  for (let seed = from; seed < from + count; seed++) {
    const failure = await failureOf(seed, faults, outcomes);
    if (failure !== undefined) return failure;
  }
  return undefined;
}
