import { hash } from "node:crypto";
import { createMachine, type Machine, type MachineOptions, type MachineSnapshot } from "../src/index.js";
import type { TakenSnapshot } from "../src/machine-snapshot.js";
import { decodeValue, encodeValue } from "../src/snapshot/value-codec.js";
import { differencesOf } from "../src/snapshot/value-difference.js";
import type { VirtualMachine } from "../src/virtual-machine.js";

/** A machine that stands still between two instructions. */
export interface Standing {
  /** What it is like: made of what {@link TakenSnapshot} has, which is all of it but disks that keep their bytes elsewhere. */
  readonly snapshot: TakenSnapshot;
  /** Lets the guest go on. */
  readonly release: () => void;
}

/** Has the guest stand still once `at` instructions have retired. @throws {MachineError} `state` if it ends before */
export async function standing(machine: Machine, at: number): Promise<Standing> {
  const taken = machine.snapshot({ at });
  let release = (): void => undefined;
  const still = new Promise<void>((resolve) => {
    // Behind the stop at which the snapshot was begun, before any instruction.
    const kept = new Promise<void>((go) => {
      release = go;
    });
    (machine as VirtualMachine).stopAt(at, () => {
      resolve();
      return kept;
    });
  });
  const snapshot = (await taken) as TakenSnapshot;
  await still;
  return { snapshot, release };
}

/** The bytes a guest prints, as characters of Latin-1: whoever takes them has those since the last time. */
export function printed(machine: Machine): () => string {
  let text = "";
  machine.console.onOutput((bytes) => {
    text += Buffer.from(bytes).toString("latin1");
  });
  return () => {
    const since = text;
    text = "";
    return since;
  };
}

/** A machine between two instructions so that two processes can tell whether theirs are the same. */
export interface Description {
  readonly meta: unknown;
  /** Everything but memory. */
  readonly state: unknown;
  /** SHA-1 of each page that is not all zeros, by its number. */
  readonly pages: Readonly<Record<string, string>>;
  /** What it printed since it was restored. */
  readonly text: string;
}

export function described({ meta, state, memory }: TakenSnapshot, text: string): Description {
  const pages: Record<string, string> = {};
  for (const { gfn, bytes } of memory.pages) pages[`0x${gfn.toString(16)}`] = hash("sha1", bytes, "base64");
  return { meta, state, pages, text };
}

/** Where they differ: paths and both values, the first of them; empty if they are the same. */
export function differing(a: Description, b: Description): readonly string[] {
  const { count, first } = differencesOf(a, b, 8);
  const told = first.map(({ path, a, b }) => `${path}: ${show(a)} and ${show(b)}`);
  return count > first.length ? [...told, `${count} differences`] : told;
}

const show = (value: unknown): string =>
  typeof value === "bigint" ? `${value}n` : (JSON.stringify(value)?.slice(0, 200) ?? "nothing");

/** What is stored of a snapshot, read back. */
export function encoded({ meta, state, memory }: TakenSnapshot): MachineSnapshot {
  const again = (value: unknown, name: string): unknown =>
    decodeValue(encodeValue(value, name, Number.MAX_SAFE_INTEGER), name);
  const pieces = Array.from(memory.pages, ({ gfn, bytes }) => ({ gpa: gfn * 4096, bytes }));
  return { meta: again(meta, "meta"), state: again(state, "state"), pieces: () => pieces };
}

/** A machine that goes on from `snapshot` is compared with the one that never stopped, once that many instructions have retired. */
export interface Leg {
  /** Which one it is, from 0. */
  readonly number: number;
  readonly snapshot: TakenSnapshot;
  readonly from: number;
  readonly to: number;
}

/**
 * Has `machine`, which goes on itself, stand still at each of `points`, and `to` a boundary behind it: the next of the points, or `most` instructions if that is sooner. What
 * goes on from the snapshot must be the same there. Where the legs cover the whole run, all that follows any of the points is the same, by induction.
 * @param onDifference told of each at once
 * @returns what differs, by leg; nothing if all are the same
 */
export async function compareLegs(
  machine: Machine,
  points: readonly number[],
  most: number,
  goOn: (leg: Leg) => Promise<Description>,
  onDifference: (what: string) => void = () => undefined,
): Promise<readonly string[]> {
  const text = printed(machine);
  const differences: string[] = [];
  let here: Standing | null = null;
  for (const [number, from] of points.entries()) {
    here ??= await standing(machine, from);
    text();
    const next = points[number + 1] ?? Number.POSITIVE_INFINITY;
    const to = Math.min(next, from + most);
    here.release();
    const { snapshot } = here;
    here = await standing(machine, to);
    const restored = await goOn({ number, snapshot, from, to });
    const found = differing(described(here.snapshot, text()), restored);
    if (found.length > 0) {
      const told = `leg ${number}, ${from} to ${to}: ${found.join("; ")}`;
      differences.push(told);
      onDifference(told);
    }
    if (to === next) continue;
    here.release();
    here = null;
  }
  here?.release();
  return differences;
}

/** What a machine that goes on from `snapshot` is like once `at` instructions have retired. `attach` is done before it runs. */
export async function goneOn(
  snapshot: MachineSnapshot,
  at: number,
  options: MachineOptions,
  attach: () => Promise<void> = async () => undefined,
): Promise<Description> {
  const machine = await createMachine({ ...options, snapshot });
  const text = printed(machine);
  await attach();
  const { snapshot: there, release } = await standing(machine, at);
  const description = described(there, text());
  machine.stop();
  release();
  await machine.run();
  return description;
}

/** So many different whole numbers of `(from, to)`, ascending, the same ones for a seed. */
export function boundaries(count: number, from: number, to: number, seed = 1): readonly number[] {
  const chosen = new Set<number>();
  for (let state = seed; chosen.size < count; ) {
    // Numerical Recipes' generator: its high bits are good enough to choose by.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    chosen.add(from + 1 + Math.floor((state / 2 ** 32) * (to - from - 1)));
  }
  return [...chosen].sort((a, b) => a - b);
}
