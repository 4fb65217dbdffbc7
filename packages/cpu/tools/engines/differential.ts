import type { JitOptions } from "../../src/index.js";
import { Random } from "../random.js";
import { difference } from "./compare.js";
import { listing } from "./layout.js";
import { EngineMachine } from "./machine.js";
import { type Program, programOf } from "./program.js";
import { run, type Trace } from "./run.js";
import { shrink } from "./shrink.js";

/** A program that the engines do not agree on. */
export interface Found {
  readonly seed: number;
  readonly what: string;
  /** What is left of it that still differs, as text. */
  readonly listing: string;
  /** The same to run again: a line of the tests' fixtures. */
  readonly line: string;
}

/** How regions are made: of everything at first sight, of what a few turns have shown, several to a module. */
const WAYS: readonly JitOptions[] = [
  { threshold: 1, again: 1, batch: 1 },
  { threshold: 2, again: 3, batch: 2 },
  { threshold: 4, again: 2, batch: 2 },
  { threshold: 3, again: 2, batch: 4 },
  { threshold: 6, again: 1, batch: 3 },
  { threshold: 8, again: 20, batch: 3 },
  { threshold: 12, again: 8, batch: 2 },
  { threshold: 20, again: 5, batch: 4 },
];
/**
 * Regions after which a machine is given up: those of its table stay, and a process has room for so many modules of WebAssembly only (two
 * mappings each, 65,530 in all on Linux).
 */
const MAX_REGIONS = 1500;

const lineOf = (program: Program, way: JitOptions): string =>
  JSON.stringify({ way, program: { ...program, base: program.base.toString() } });

/** Runs programs on both engines. */
export class Differential {
  #interpreter = new EngineMachine();
  readonly #machines = new Map<string, EngineMachine>();
  /** What the programs met so far, for statistics. */
  readonly met = { programs: 0, instructions: 0, inRegions: 0, regions: 0, faults: 0, interrupts: 0, exits: 0 };

  #machine(way: JitOptions): EngineMachine {
    const key = JSON.stringify(way);
    const known = this.#machines.get(key);
    if (known !== undefined && (known.jit?.counts.regions ?? 0) < MAX_REGIONS) return known;
    const machine = new EngineMachine(way);
    this.#machines.set(key, machine);
    return machine;
  }

  /** What differs between the engines for the program of `seed`, or null. */
  check(seed: number): Found | null {
    const program = programOf(seed);
    const way = new Random(seed).pick(WAYS);
    const what = this.#differs(program, way, true);
    if (what === null) return null;
    const small = shrink(program, (other) => this.#differs(other, way, false) !== null);
    const still = this.#differs(small, way, false);
    return { seed, what, listing: `${still}\n${listing(small)}`, line: lineOf(small, way) };
  }

  /** What differs for a program that was found once, a line of the fixtures; or null. */
  again(line: string): string | null {
    const { way, program } = JSON.parse(line);
    return this.#differs({ ...program, base: BigInt(program.base) }, way, false);
  }

  /**
   * What differs between a run on the interpreter that is cut where something happens from outside, and one with regions that is cut elsewhere
   * too; and between runs with the same cuts.
   */
  #differs(program: Program, way: JitOptions, counting: boolean): string | null {
    const machine = this.#machine(way);
    const everyCut = program.seed % 3 === 0;
    const events = { ...machine.vcpu.counts };
    const regions = machine.jit?.counts.regions ?? 0;
    const whole = run(program, this.#interpreter, { cut: false });
    const split = run(program, machine, { cut: true });
    if (counting)
      this.#count(machine, split, { faults: events.faults ?? 0, interrupts: events.interrupts ?? 0, regions });
    const { retiredInRegions } = machine.vcpu;
    if (retiredInRegions > machine.retired)
      return `${retiredInRegions} instructions in regions, ${machine.retired} in all`;
    // The one that was cut more often has the cuts of the other.
    const found = difference(split, whole);
    if (found !== null || !everyCut) return found;
    return difference(run(program, this.#interpreter, { cut: true }), split);
  }

  #count(machine: EngineMachine, trace: Trace, before: { faults: number; interrupts: number; regions: number }): void {
    const { met } = this;
    const { counts, retiredInRegions } = machine.vcpu;
    met.programs++;
    met.instructions += machine.retired;
    met.inRegions += retiredInRegions;
    met.regions += (machine.jit?.counts.regions ?? 0) - before.regions;
    met.faults += (counts.faults ?? 0) - before.faults;
    met.interrupts += (counts.interrupts ?? 0) - before.interrupts;
    met.exits += trace.log.filter((line) => line.includes("exit")).length;
  }
}
