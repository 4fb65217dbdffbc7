import { readFileSync } from "node:fs";
import type { ChunkSource } from "@vm/mmu";
import { describe, expect, it } from "vitest";
import { createMachine, type MachineSnapshot } from "../../src/index.js";
import type { VirtualMachine } from "../../src/virtual-machine.js";
import { transcript } from "../guest.js";
import { type Chunks, chunksNow, chunksOf, lateSnapshot, standing, withState } from "../late-machine.js";
import { guests } from "./debian.js";

/** How many seeded schedules are run. */
const SCHEDULES = Number(process.env.VM_ASYNC_PF_RESTORES ?? 2);
const TASKS = [1, 2, 3];
const ITEMS = 10_000;
const SUM = (ITEMS * (ITEMS - 1)) / 2;
/** Programs that wait with large arrays of their own, and go through them when they are told. */
const SLEEPERS = `for k in ${TASKS.join(" ")}; do mkfifo /go$k; awk -v k=$k 'BEGIN { for (i = 0; i < ${ITEMS}; i++) a[i] = i; print "ready"; getline < ("/go" k); for (i = 0; i < ${ITEMS}; i++) s += a[i]; print "task", k, "sum", s }' & done`;
const GO = `for k in ${TASKS.join(" ")}; do echo >/go$k; done; wait; grep HYP: /proc/interrupts; echo "all" over`;
/** Of the guest's time: a task that has not ended by then never will, ns. */
const PATIENCE = 120e9;

/** Numbers from 0 to below `n`, by a seed (mulberry32). */
function seeded(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

/** Gives chunks after some turns of the event loop, and knows how many it owes. */
class Slow implements ChunkSource {
  readonly #random: (n: number) => number;
  readonly #waiting = new Map<number, () => void>();
  #held: Promise<void> = Promise.resolve();
  asked = 0;
  owed = 0;

  constructor(
    readonly chunks: Chunks,
    random: (n: number) => number,
  ) {
    this.#random = random;
  }

  async fetch(chunk: number): Promise<Uint8Array> {
    this.owed++;
    this.#waiting.get(++this.asked)?.();
    for (let turns = this.#random(16); turns > 0; turns--) await new Promise(setImmediate);
    await this.#held;
    this.owed--;
    return this.chunks.get(chunk) as Uint8Array;
  }

  /** Resolves when so many chunks have been asked for. @param hold nothing comes from then on, until the function it gives is called */
  hasAsked(count: number, hold: boolean): Promise<() => void> {
    return new Promise((resolve) =>
      this.#waiting.set(count, () => {
        let release = (): void => undefined;
        if (hold)
          this.#held = new Promise((come) => {
            release = come;
          });
        resolve(release);
      }),
    );
  }
}

async function make(snapshot: MachineSnapshot): Promise<VirtualMachine> {
  const machine = (await createMachine({ snapshot })) as VirtualMachine;
  // Chunks come in turns of the event loop.
  machine.attentive(1);
  return machine;
}

const OVER = /all over/;

/** Resolves when the tasks have ended; rejects if the guest gets nowhere, or ends. */
function over(machine: VirtualMachine, seen: { text: string }): Promise<null> {
  const decoder = new TextDecoder();
  return new Promise((resolve, reject) => {
    machine.console.onOutput((bytes) => {
      seen.text += decoder.decode(bytes, { stream: true });
      if (OVER.test(seen.text)) resolve(null);
    });
    machine.clock.schedule(machine.clock.now() + PATIENCE, () => reject(new Error(`it hangs: ${seen.text}`)));
    machine.events.on("end", ({ reason }) => reject(new Error(`${reason}: ${seen.text}`)));
  });
}

interface Saved {
  readonly snapshot: Pick<MachineSnapshot, "meta" | "state">;
  readonly chunks: Chunks;
  /** Chunks that were on their way. */
  readonly outstanding: number;
}

/** Saves a machine that stands still with what is on its way, as if it never came. */
const saveNow = (machine: VirtualMachine, source: Slow, like: MachineSnapshot): Saved => ({
  snapshot: withState(like, machine.save()),
  chunks: chunksNow(machine, source.chunks),
  outstanding: source.owed,
});

/** Saves a machine some instructions after so many chunks have been asked for: with what is on its way, or by a snapshot, for which it comes. */
async function saveAt(machine: VirtualMachine, source: Slow, like: MachineSnapshot, moment: Moment): Promise<Saved> {
  const release = await source.hasAsked(moment.chunks, moment.instructions === 0);
  const at = machine.stats().instructions + moment.instructions;
  const saved = await standing(machine, (vm) => saveNow(vm, source, like), at);
  if (!moment.whole) return saved;
  release();
  const snapshot = await machine.snapshot();
  return { snapshot, chunks: chunksOf(snapshot), outstanding: saved.outstanding };
}

interface Moment {
  /** It comes when so many chunks have been asked for, */
  readonly chunks: number;
  /** and so many instructions have been executed then. With none, no chunk comes before. */
  readonly instructions: number;
  /** It is saved by a snapshot, for which what is on its way comes. */
  readonly whole: boolean;
}

interface Outcome {
  readonly text: string;
  /** Chunks that were on their way each time it was saved. */
  readonly outstanding: readonly number[];
  /** Interrupts by which the guest was told. */
  readonly told: number;
  /** Chunks that the last machine asked for. */
  readonly asked: number;
}

/** Has the tasks of a saved guest go on, in machines that are saved at these moments; behind each of them another one goes on. */
async function run(
  booted: MachineSnapshot,
  all: Chunks,
  moments: readonly Moment[],
  random: (n: number) => number,
): Promise<Outcome> {
  const seen = { text: "" };
  const outstanding: number[] = [];
  let source = new Slow(all, random);
  let machine = await make(lateSnapshot(booted, all, source));
  machine.console.write(`${GO}\n`);
  for (const moment of [...moments, null]) {
    const ways = [over(machine, seen), ...(moment === null ? [] : [saveAt(machine, source, booted, moment)])];
    void machine.run();
    const saved = await Promise.race<Saved | null>(ways);
    machine.stop();
    await machine.run();
    if (saved === null) break;
    outstanding.push(saved.outstanding);
    source = new Slow(saved.chunks, random);
    machine = await make(lateSnapshot(saved.snapshot, saved.chunks, source));
  }
  const told = (/HYP: +(\d[ \d]*)/.exec(seen.text)?.[1] ?? "").trim().split(/ +/).map(Number);
  return { text: seen.text, outstanding, told: told.reduce((a, b) => a + b, 0), asked: source.asked };
}

describe.skipIf(guests === null)("Debian, saved and restored while its memory arrives", () => {
  it(`every task ends, in ${SCHEDULES} schedules (statement 26)`, {
    timeout: 120_000 + 60_000 * SCHEDULES,
  }, async () => {
    const kernel = readFileSync(guests?.kernel("6.12") ?? "");
    const initrd = readFileSync(guests?.initrd("6.12") ?? "");
    const first = await createMachine({ kernel, initrd, memory: 128 << 20, cpus: 2, asyncPf: true });
    const seen = transcript(first);
    const ready = new Promise<void>((resolve) => {
      first.console.onOutput(() => {
        if (seen.text.match(/(?<!")ready/g)?.length === TASKS.length) resolve();
      });
    });
    first.console.write(`${SLEEPERS}\n`);
    void first.run();
    await ready;
    const booted = await first.snapshot({ stop: true });
    const all = chunksOf(booted);
    const whole = await run(booted, all, [], seeded(0));
    const totals = { saved: 0, outstanding: 0, told: whole.told };
    for (let seed = 1; seed <= SCHEDULES; seed++) {
      const random = seeded(seed);
      const moments = Array.from({ length: 1 + random(3) }, (_, k) => ({
        chunks: 1 + random(whole.asked >> 1),
        instructions: k === 0 ? 0 : random(2) * random(50_000),
        whole: random(3) === 0,
      }));
      const { text, outstanding, told } = await run(booted, all, moments, random);
      for (const task of TASKS) expect(text, `schedule ${seed}`).toContain(`task ${task} sum ${SUM}`);
      totals.saved += outstanding.length;
      totals.outstanding += outstanding.filter((count) => count > 0).length;
      totals.told += told;
    }
    // The schedules were about something.
    expect(totals.outstanding).toBeGreaterThan(0);
    expect(totals.told).toBeGreaterThan(0);
    if (SCHEDULES > 2) console.log(`${SCHEDULES} schedules: ${JSON.stringify(totals)}`);
  });
});
