import type { JitOptions, Vcpu } from "@vm/cpu";
import { Random } from "../random.js";
import { type Digest, differing, digest } from "./digest.js";
import { type Image, imageOf } from "./image.js";
import { type Happening, type Plan, planOf } from "./plan.js";
import { World } from "./world.js";

/** What must hold whatever the guest does. */
export type Violation =
  | "host exception"
  | "hang"
  | "slow"
  | "guard"
  | "not repeatable"
  | "depends on the engine"
  | "depends on slices";

export interface Failure {
  readonly seed: number;
  readonly violation: Violation;
  readonly detail: string;
}

export interface Checked {
  readonly failure: Failure | null;
  /** Instructions retired. */
  readonly retired: number;
  /** How the world began, in words, and how its last run ended. */
  readonly mode: string;
  readonly exit: string;
  /** Exceptions and interrupts delivered. */
  readonly events: number;
}

/** Makes the world that is checked, afresh for every run. */
export type MakeWorld = (image: Image, cpus: number, regions: JitOptions | null) => World;

/** Host time within which a run of some thousand instructions returns even on a busy machine, ms. */
const SLOW_MS = 10_000;
/** Slices in a row without an instruction retired, after which a cut run has stopped getting anywhere. */
const IDLE_SLICES = 2000;

/** Regions of everything at first sight, or of what comes again. */
const regionsOf = (seed: number): JitOptions => ({ threshold: 1 + (seed % 4), again: 2, batch: 1 + (seed % 2) });

interface Ran {
  readonly digest: Digest;
  readonly exits: readonly string[];
  readonly retired: number;
  readonly events: number;
  /** The last run ended before its budget, and not by an exit. */
  readonly futile: boolean;
}

/** Runs the world of `seed` in all ways and compares. Never throws for what the guest does. */
export function check(seed: number, make: MakeWorld = (...world) => new World(...world)): Checked {
  const plan = planOf(seed);
  let mode = "";
  let ran: Ran | null = null;
  const fail = (violation: Violation, detail: string): Checked => ({
    failure: { seed, violation, detail },
    retired: ran?.retired ?? 0,
    events: ran?.events ?? 0,
    mode,
    exit: ran?.exits.at(-1) ?? "",
  });
  const began = performance.now();
  try {
    const image = imageOf(seed);
    const { kind, bits, cpl, paging } = image.mode;
    mode = `${kind}, ${bits}-bit code, CPL ${cpl}, ${paging === "none" ? "no" : paging} paging`;
    const world = make(image, plan.cpus, null);
    ran = follow(world, plan);
    const broken = world.brokenGuard();
    if (broken >= 0) return fail("guard", `host byte 0x${broken.toString(16)} was written`);
    for (const [regions, violation] of [
      [null, "not repeatable"],
      [regionsOf(seed), "depends on the engine"],
    ] as const) {
      const again = follow(make(image, plan.cpus, regions), plan);
      const changed = [
        ...differing(ran.digest, again.digest),
        ...(String(ran.exits) === String(again.exits) ? [] : ["exits"]),
      ];
      if (changed.length > 0) return fail(violation, changed.join(", "));
    }
    if (plan.divisible && !ran.futile) {
      const cut = inSlices(make(image, plan.cpus, null), ran, seed);
      const differences = cut === null ? ["progress"] : differing(ran.digest, cut);
      if (differences.length > 0) return fail("depends on slices", differences.join(", "));
    }
  } catch (error) {
    return fail("host exception", error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  const ms = performance.now() - began;
  if (ms > SLOW_MS) return fail("slow", `${Math.round(ms)} ms`);
  return { failure: null, retired: ran.retired, events: ran.events, mode, exit: ran.exits.at(-1) ?? "" };
}

function follow(world: World, { turns }: Plan): Ran {
  const exits: string[] = [];
  let futile = false;
  for (const { cpu, budget, happening } of turns) {
    if (happening !== undefined) happen(world, cpu, happening);
    const vcpu = world.vcpus[cpu] as Vcpu;
    const before = vcpu.retired;
    const { reason } = vcpu.run(budget);
    futile = reason === "budget" && vcpu.retired - before < budget;
    exits.push(reason);
  }
  const retired = world.vcpus.reduce((sum, vcpu) => sum + vcpu.retired, 0);
  const events = world.vcpus.reduce((sum, { counts }) => sum + counts.faults + counts.interrupts, 0);
  return { digest: digest(world), exits, retired, events, futile };
}

function happen(world: World, cpu: number, what: Happening): void {
  const vcpu = world.vcpus[cpu] as Vcpu;
  switch (what.kind) {
    case "interrupt":
      world.devices[cpu]?.raise(what.vector);
      vcpu.interrupt();
      break;
    case "nmi":
      vcpu.nmi();
      break;
    case "host-write":
      world.hostWrite(what.gpa, what.value);
      break;
    case "withhold":
    case "release":
      world.mmu[what.kind](what.gfn, what.licence);
      break;
    case "init":
      vcpu.init();
      vcpu.sipi(what.sipi);
  }
}

/** Does in random slices what was done at once. @returns null if it does not get that far */
function inSlices(world: World, { retired, exits }: Ran, seed: number): Digest | null {
  const random = new Random(seed ^ 0x165667b1);
  const vcpu = world.vcpus[0] as Vcpu;
  const longest = random.pick([1, 3, 50, 500]);
  const byBudget = exits.at(-1) === "budget";
  let idle = 0;
  while (!byBudget || vcpu.retired < retired) {
    const before = vcpu.retired;
    // What ended the run, if not its budget, comes without an instruction retired.
    const { reason } = vcpu.run(Math.max(1, Math.min(retired - before, 1 + random.below(longest))));
    if (reason !== "budget") break;
    idle = vcpu.retired === before ? idle + 1 : 0;
    if (idle > IDLE_SLICES || vcpu.retired > retired) return null;
  }
  return digest(world);
}
