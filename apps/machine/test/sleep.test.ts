import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Sleeper } from "../src/sleep.js";
import { turn } from "../src/turn.js";

/** Time of the host, as the test has it. Its timers are the test's as well, turns of the event loop are real ones. */
let now = 0;
beforeEach(() => {
  now = 0;
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => void vi.useRealTimers());

const pass = (ms: number): void => {
  now += ms;
  vi.advanceTimersByTime(ms);
};
const turns = async (): Promise<void> => {
  for (let k = 0; k < 5; k++) await turn();
};

function sleep(ms: number, sleeper = new Sleeper(() => now)) {
  const done = vi.fn();
  const cancel = sleeper.start(ms, done);
  return { done, cancel };
}

describe("a sleep", () => {
  it("ends at its moment, not at the next whole millisecond, and once", async () => {
    const { done } = sleep(3.5);
    expect(vi.getTimerCount()).toBe(1);
    pass(3.25);
    await turns();
    expect(done).not.toHaveBeenCalled();
    now = 3.5;
    await turns();
    expect(done).toHaveBeenCalledTimes(1);
    pass(10);
    await turns();
    expect(done).toHaveBeenCalledTimes(1);
  });

  it("of less than a millisecond needs no timer, and does not end from inside its start", async () => {
    const { done } = sleep(0);
    expect(vi.getTimerCount()).toBe(0);
    expect(done).not.toHaveBeenCalled();
    await turns();
    expect(done).toHaveBeenCalledTimes(1);
  });

  it.each([0.5, 2.5])("of %d ms that is taken back does not end, nor does it go on waiting", async (ms) => {
    const { done, cancel } = sleep(ms);
    cancel();
    expect(vi.getTimerCount()).toBe(0);
    pass(10);
    await turns();
    expect(done).not.toHaveBeenCalled();
  });

  it("that is taken back in its last part does not end either", async () => {
    const { done, cancel } = sleep(2.5);
    pass(2.25);
    await turns();
    cancel();
    now = 3;
    await turns();
    expect(done).not.toHaveBeenCalled();
  });
});

describe("turns that only wait", () => {
  /** As many sleeps of 0.9 ms in a row as are fine. */
  async function fineInARow(sleeper: Sleeper): Promise<number> {
    for (let k = 0; ; k++) {
      const { done } = sleep(0.9, sleeper);
      if (vi.getTimerCount() > 0) {
        pass(1);
        expect(done).toHaveBeenCalledTimes(1);
        return k;
      }
      now += 0.9;
      await turns();
      expect(done).toHaveBeenCalledTimes(1);
    }
  }

  it("take a quarter of the host's time at most, and 20 ms in a row", async () => {
    const sleeper = new Sleeper(() => now);
    // 20 ms and what is earned meanwhile, a quarter of it.
    const spent = 0.9 * (await fineInARow(sleeper));
    expect(spent).toBeGreaterThan(20);
    expect(spent).toBeLessThan(28);
    now += 8;
    const again = 0.9 * (await fineInARow(sleeper));
    expect(again).toBeLessThan(4);
    now += 1000;
    expect(0.9 * (await fineInARow(sleeper))).toBeGreaterThan(20);
  });
});
