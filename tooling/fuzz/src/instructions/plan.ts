import { Random } from "../random.js";
import * as L from "./layout.js";

/** Something that happens between two runs. */
export type Happening =
  | { readonly kind: "interrupt"; readonly vector: number }
  | { readonly kind: "nmi" }
  | { readonly kind: "init"; readonly sipi: number }
  | { readonly kind: "host-write"; readonly gpa: number; readonly value: number }
  /** A page is watched, or no longer: accesses of some kinds leave the guest. */
  | { readonly kind: "withhold" | "release"; readonly gfn: number; readonly licence: number };

/** One run of a vCPU, and what comes before it. */
export interface Turn {
  readonly cpu: number;
  readonly budget: number;
  readonly happening?: Happening;
}

/** What is done with a world. */
export interface Plan {
  readonly cpus: number;
  readonly turns: readonly Turn[];
  /** Nothing happens and one vCPU runs once: any way to cut its budget into pieces must do the same. */
  readonly divisible: boolean;
}

/** Instructions of a world in all, at most. */
const MAX_INSTRUCTIONS = 4000;

export function planOf(seed: number): Plan {
  const random = new Random(seed ^ 0x27d4eb2f);
  if (random.chance(50))
    return { cpus: 1, turns: [{ cpu: 0, budget: 200 + random.below(MAX_INSTRUCTIONS) }], divisible: true };
  const cpus = random.chance(50) ? 2 : 1;
  const count = 2 + random.below(30);
  const turns = Array.from({ length: count }, (): Turn => {
    const cpu = random.below(cpus);
    const budget = 1 + random.below(random.chance(50) ? 20 : MAX_INSTRUCTIONS / count);
    return random.chance(50) ? { cpu, budget, happening: happening(random) } : { cpu, budget };
  });
  return { cpus, turns, divisible: false };
}

function happening(random: Random): Happening {
  const choice = random.below(20);
  if (choice < 10) return { kind: "interrupt", vector: 0x10 + random.below(0xf0) };
  if (choice < 14) return { kind: "host-write", gpa: 4 * random.below(L.RAM / 4), value: random.word() };
  if (choice < 16) return { kind: "nmi" };
  if (choice === 16) return { kind: "init", sipi: (L.CODE >> 12) + random.below(8) };
  // Few pages, so that some are released again.
  const gfn = random.pick([L.CODE, L.CODE + 0x1000, L.STACKS, L.IDT, L.PAGE_TABLES, L.DATA, L.DATA + 0x4000]) >> 12;
  return { kind: choice === 17 ? "withhold" : "release", gfn, licence: 1 + random.below(7) };
}
