import { describe, expect, it } from "vitest";
import { GuestPanic } from "../../src/index.js";
import type { Plant } from "./cpu.js";
import { type Outcome, type Schedule, World } from "./world.js";

/** `VM_ASYNC_PF_SCHEDULES=10000` takes ten seconds. */
const COUNT = Number(process.env.VM_ASYNC_PF_SCHEDULES ?? 1000);
const SEED = Number(process.env.VM_ASYNC_PF_SEED ?? 1);

type End = Outcome["end"] | GuestPanic["code"];

function endOf(schedule: Schedule): { end: End; injections: number; restores: number } {
  try {
    return new World(schedule).run();
  } catch (error) {
    if (error instanceof GuestPanic) return { end: error.code, injections: 0, restores: 0 };
    throw new Error(`schedule ${JSON.stringify(schedule)}`, { cause: error });
  }
}

function explore(count: number, schedule: Omit<Schedule, "seed">) {
  const ends: Partial<Record<End, number>> = {};
  const total = { injections: 0, restores: 0 };
  for (let seed = SEED; seed < SEED + count; seed++) {
    const { end, injections, restores } = endOf({ seed, ...schedule });
    ends[end] = (ends[end] ?? 0) + 1;
    total.injections += injections;
    total.restores += restores;
  }
  return { ends, ...total };
}

const planted = (plant: Plant, schedule: Omit<Schedule, "seed"> = {}) => explore(300, { plant, ...schedule }).ends;

describe("every task of the guest ends", () => {
  it(`whatever comes when, with snapshots, CPUs that go and come, failures (${COUNT} schedules)`, () => {
    const { ends, injections, restores } = explore(COUNT, {});
    expect(ends).toEqual({ done: COUNT });
    expect(injections).toBeGreaterThan(COUNT);
    expect(restores).toBeGreaterThan(COUNT / 2);
  });

  it("when interrupts come before the task waits that they wake", () => {
    expect(explore(COUNT, { early: true, snapshots: 0 }).ends).toEqual({ done: COUNT });
  });

  it("when the guest is older than the interrupt: nothing is told, vCPUs are halted", () => {
    expect(explore(200, { era: "before" })).toMatchObject({ ends: { done: 200 }, injections: 0 });
    expect(explore(200, { era: "seed" })).toMatchObject({ ends: { done: 200 }, injections: 0 });
  });

  it("the same schedule ends the same way", () => {
    expect(new World({ seed: SEED }).run()).toEqual(new World({ seed: SEED }).run());
  });
});

describe("what is done wrong is found", () => {
  it("only the first vCPU's tasks are woken after a restore: tasks sleep for ever", () => {
    expect(planted("wake-all on the first vCPU only").hang).toBeGreaterThan(0);
  });

  it("tokens are counted from 1 again after a restore: two tasks wait for one token", () => {
    expect(planted("tokens counted from 1")["stack-freed"]).toBeGreaterThan(0);
  });

  it("what waited in the local APIC is lost after it was raised again: tasks sleep for ever", () => {
    expect(planted("IRR lost").hang).toBeGreaterThan(0);
  });

  it("a wake-up that comes before its task waits is not noted: tasks sleep for ever", () => {
    expect(planted("no dummy node", { early: true, snapshots: 0 }).hang).toBeGreaterThan(0);
  });
});
