import { type Faults, TdHost } from "./host.js";
import { Model } from "./model.js";
import { Platform } from "./platform.js";
import { choicesOf, Scheduler } from "./scheduler.js";
import * as tasks from "./tasks.js";

const PROGRAMS = [
  ["populate", tasks.initMemRegion],
  ["populate", tasks.initMemRegion],
  ["finalize", tasks.finalize],
  ["cpuid", tasks.getCpuid],
  ["run", tasks.guestWrites],
  ["run", tasks.guestWrites],
  ["stay", tasks.guestStays],
  ["stay", tasks.guestStays],
  ["MapGPA", tasks.guestConverts],
  ["convert", tasks.convert],
  ["punch hole", tasks.punchHole],
  ["store", tasks.userStores],
  ["read", tasks.hostReads],
  ["memslot", tasks.changeMemslot],
  ["mmap", tasks.mapMemory],
] as const;

/** One TD, a few tasks that each do a few things, and one order in which they go on: all of it follows from `seed`. @throws what went wrong */
export async function explore(
  platform: Platform,
  seed: number,
  faults: Faults = {},
  outcomes = new tasks.Outcomes(),
): Promise<void> {
  const choose = choicesOf(seed);
  const scheduler = new Scheduler();
  const host = new TdHost(platform, { inPlace: choose(2) === 0, vcpus: 1 + choose(2) }, faults, scheduler, choose);
  await host.prepare({ populated: choose(2) === 0, finalized: choose(3) > 0 });
  const model = new Model(host);
  const world = { host, model, choose, outcomes };
  const bodies = Array.from({ length: 3 + choose(4) }, () => {
    const steps = Array.from({ length: 1 + choose(3) }, () => PROGRAMS[choose(PROGRAMS.length)] ?? PROGRAMS[0]);
    const task = host.newTask(steps.map(([name]) => name).join(", "));
    return async () => {
      for (const [, program] of steps) await program(world, task);
    };
  });
  const isEarly = choose(4) === 0;
  const teardown = (): Promise<void> => tasks.tearDown(world, host.newTask("teardown"));
  const { busy } = platform.calls;
  const run = async (some: readonly (() => Promise<void>)[]): Promise<void> => {
    const left = await scheduler.run(some, choose, () => model.check());
    if (left > 0) throw new Error(`${left} tasks hang`);
  };
  await run(isEarly ? [...bodies, teardown] : bodies);
  if (!isEarly) await run([teardown]);
  if (platform.calls.busy > busy) outcomes.add("SEAMCALL: busy");
  if (host.kicks > 0) outcomes.add("vCPUs: kicked");
  checkNothingLeft(host);
}

function checkNothingLeft({ mmu, kvm, platform }: TdHost): void {
  for (const bug of kvm.bugs) throw new Error(bug);
  const { arena } = mmu.vm.slots;
  const left = {
    frames: arena.taken,
    "reserved frames": arena.capacity - arena.available,
    "lost pages": kvm.lostPages,
  };
  for (const [what, count] of Object.entries(left)) if (count !== 0) throw new Error(`${count} ${what} left`);
  const leftovers = platform.leftovers();
  if (leftovers !== undefined) throw new Error(leftovers);
}

export interface Failure {
  readonly seed: number;
  readonly message: string;
}

/** Searches one seed after the other over one TDX module; after a failure, over another. */
export class Explorer {
  #platform = new Platform();

  /** What goes wrong with `seed`, if anything does. */
  async failureOf(seed: number, faults?: Faults, outcomes?: tasks.Outcomes): Promise<Failure | undefined> {
    try {
      await explore(this.#platform, seed, faults, outcomes);
      return undefined;
    } catch (error) {
      this.#platform = new Platform();
      return { seed, message: error instanceof Error ? error.message : String(error) };
    }
  }

  /** The first of `count` seeds from `from` on that goes wrong, and how. */
  async firstFailure(
    from: number,
    count: number,
    faults?: Faults,
    outcomes?: tasks.Outcomes,
  ): Promise<Failure | undefined> {
    for (let seed = from; seed < from + count; seed++) {
      const failure = await this.failureOf(seed, faults, outcomes);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }
}
