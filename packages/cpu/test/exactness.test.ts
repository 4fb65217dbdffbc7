import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type FakeMachine, snapshot } from "./fake-machine.js";
import { machineFor, repeats, steps } from "./random-program.js";

/** Enough to go through most programs several times. */
const LENGTH = 600;

/** Everything that can be told from outside. */
const observe = (m: FakeMachine): string[] => [snapshot(m.vcpu), Buffer.from(m.ram).toString("latin1"), ...m.bus.log];

/** Runs with these budgets, over and over, until `LENGTH` instructions have retired. */
function runSplit(m: FakeMachine, budgets: readonly number[]): void {
  for (let k = 0; m.vcpu.retired < LENGTH; k++) {
    const before = m.vcpu.retired;
    const budget = Math.min(budgets[k % budgets.length] as number, LENGTH - before);
    expect(m.vcpu.run(budget)).toEqual({ reason: "budget" });
    expect(m.vcpu.retired).toBe(before + budget);
  }
}

describe("exact to the instruction", () => {
  test("run(n) retires n instructions, and n runs of one leave what one run of n leaves", () => {
    fc.assert(
      fc.property(steps, (program) => {
        const whole = machineFor(program);
        const single = machineFor(program);
        runSplit(whole, [LENGTH]);
        runSplit(single, [1]);
        expect(observe(single)).toEqual(observe(whole));
      }),
      { numRuns: 100 },
    );
  });

  test("any split of the budget leaves the same", () => {
    fc.assert(
      fc.property(
        steps,
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }),
        (program, budgets) => {
          const whole = machineFor(program);
          const split = machineFor(program);
          runSplit(whole, [LENGTH]);
          runSplit(split, budgets);
          expect(observe(split)).toEqual(observe(whole));
        },
      ),
      { numRuns: 100 },
    );
  });

  test("hooks that only watch change nothing, and neither does single-stepping by the host", () => {
    fc.assert(
      fc.property(steps, (program) => {
        const plain = machineFor(program);
        const watched = machineFor(program);
        let stepped = 0;
        watched.vcpu.singleStep = true;
        watched.vcpu.hooks = {
          controlRegister: () => true,
          msrWrite: () => true,
          msrRead: () => undefined,
          descriptorTable: () => undefined,
          cpuid: () => undefined,
          hlt: () => undefined,
          io: () => undefined,
          mmio: () => undefined,
          breakpoint: () => true,
          inject: () => undefined,
          syscall: () => undefined,
          pageAccess: () => true,
          singleStep: () => {
            stepped++;
          },
        };
        runSplit(plain, [LENGTH]);
        runSplit(watched, [LENGTH]);
        expect(stepped).toBe(LENGTH);
        // Repeated string instructions retire an element at a time while stepping.
        if (!repeats(program)) expect(observe(watched)).toEqual(observe(plain));
      }),
      { numRuns: 40 },
    );
  });

  test("the programs drawn meet faults, interrupts, devices and rewritten code", () => {
    const seen = { faults: 0, interrupts: 0, io: 0, mmio: 0 };
    for (const program of fc.sample(steps, { numRuns: 40, seed: 1 })) {
      const m = machineFor(program);
      runSplit(m, [LENGTH]);
      for (const name of Object.keys(seen) as (keyof typeof seen)[]) seen[name] += m.vcpu.counts[name];
    }
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(20);
  });

  test("the same program twice does the same: nothing depends on what ran before or on the host", () => {
    fc.assert(
      fc.property(steps, (program) => {
        const [one, two] = [machineFor(program), machineFor(program)];
        runSplit(one, [LENGTH]);
        runSplit(two, [LENGTH]);
        expect(observe(two)).toEqual(observe(one));
      }),
      { numRuns: 20 },
    );
  });
});
