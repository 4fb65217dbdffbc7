import { describe, expect, it } from "vitest";
import { runCase, TURN_LIMIT_MS } from "../src/cases.js";
import { type Door, Violation } from "../src/door.js";
import { doors } from "../src/doors/index.js";
import { GROWTH_LIMIT, growth } from "../src/growth.js";
import { hostWait } from "../src/host-wait.js";
import { Totals } from "../src/totals.js";
import { TurnMeter } from "../src/turn-meter.js";
import { HANG_MS, Watchdog } from "../src/watchdog.js";

const door = (check: Door["check"], more: Partial<Door> = {}): Door => ({ name: "test", summary: "", check, ...more });

/** Keeps the event loop for too long. */
function compute(): void {
  const busy = (): number => performance.now() - hostWait();
  const end = busy() + TURN_LIMIT_MS + 10;
  while (busy() < end);
}

describe("a case", () => {
  it("that holds says what it has to tell", async () => {
    const report = { sums: { bytes: 3 }, kinds: { ended: "well" } };
    expect(
      await runCase(
        door(() => report),
        7,
      ),
    ).toMatchObject({ seed: 7, failure: null, report });
    expect(
      await runCase(
        door(async () => undefined),
        7,
      ),
    ).toMatchObject({ failure: null, report: {} });
  });

  it("that throws, at once or later, is an exception of the host", async () => {
    const broken = (): never => {
      throw new TypeError("broken");
    };
    for (const check of [broken, async () => broken()]) {
      const { failure } = await runCase(door(check), 1);
      expect(failure?.violation).toBe("host exception");
      expect(failure?.detail).toContain("TypeError: broken");
    }
  });

  it("whose check names what did not hold is reported in its words", async () => {
    const check = (): never => {
      throw new Violation("guard", "byte 3 was written");
    };
    expect((await runCase(door(check), 1)).failure).toEqual({ violation: "guard", detail: "byte 3 was written" });
  });

  it("that keeps the event loop every time fails", async () => {
    expect((await runCase(door(compute), 1)).failure?.violation).toBe("turn");
    expect(
      (
        await runCase(
          door(async () => compute()),
          1,
        )
      ).failure?.violation,
    ).toBe("turn");
  });

  it("that kept it once, and not when it was repeated, met a stall of the host", async () => {
    let first = true;
    const check = (): void => {
      if (first) compute();
      first = false;
    };
    const { failure, stalls } = await runCase(door(check), 1);
    expect(failure).toBeNull();
    expect(stalls).toBeGreaterThanOrEqual(1);
  });

  it("may take long if it is there to compute", async () => {
    expect((await runCase(door(compute, { computes: true }), 1)).failure).toBeNull();
  });
});

describe("a turn of the event loop", () => {
  it("is what lies between two turns, not the whole", async () => {
    const began = performance.now();
    const { longest } = await new TurnMeter().measure(async () => {
      for (let k = 0; k < 3; k++) {
        compute();
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    expect(longest).toBeGreaterThan(TURN_LIMIT_MS);
    expect(longest).toBeLessThan(performance.now() - began - TURN_LIMIT_MS);
  });
});

describe("memory", () => {
  const samples = (at: (k: number) => number): number[] => Array.from({ length: 40 }, (_, k) => at(k));

  it("that goes up and down, or fills caches and then stays, does not grow", () => {
    expect(growth(samples((k) => (k % 2) * 10 * GROWTH_LIMIT))).toBe(0);
    expect(growth(samples((k) => Math.min(k, 5) * GROWTH_LIMIT))).toBe(0);
  });

  it("that stays allocated case after case grows", () => {
    expect(growth(samples((k) => k * (GROWTH_LIMIT / 8)))).toBeGreaterThan(GROWTH_LIMIT);
  });
});

describe("the watchdog", () => {
  it("notices that a case hangs, and not that a long row of cases is slow", () => {
    const watchdog = new Watchdog(0);
    for (let done = 0; done < 5; done++) expect(watchdog.isHanging(done * HANG_MS * 0.9, done)).toBe(false);
    expect(watchdog.isHanging(4 * HANG_MS * 0.9 + HANG_MS + 1, 4)).toBe(true);
  });
});

describe("the totals", () => {
  it("add up what the cases tell", () => {
    const totals = new Totals();
    const outcome = { failure: null, longestTurn: 3, stalls: 1 };
    totals.add({ ...outcome, seed: 1, report: { sums: { bytes: 3 }, kinds: { ended: "well" } } });
    totals.add({ ...outcome, seed: 2, report: { sums: { bytes: 4 }, kinds: { ended: "badly" } } });
    totals.memory(2 ** 21);
    expect(totals.summary(1000)).toBe(
      [
        "2 cases, 7 bytes, 0 failures in 1 s",
        "longest turn of the event loop 3.0 ms, 2 longer ones of the host; memory in use 2 to 2 MiB",
        "ended",
        "  badly: 1",
        "  well: 1",
      ].join("\n"),
    );
  });
});

describe("doors", () => {
  it("have names of their own", () => {
    expect(new Set(doors.map(({ name }) => name)).size).toBe(doors.length);
    for (const { name } of doors) expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
  });
});
