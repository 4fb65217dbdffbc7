import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VirtualClock } from "../src/clock.js";

describe("the icount clock", () => {
  it("is the number of retired instructions, the running slice included", () => {
    const clock = new VirtualClock("icount");
    let running = 0;
    clock.inSlice = () => running;
    clock.advance(100);
    running = 7;
    expect(clock.now()).toBe(107);
  });

  it("skips idle time, but never backwards", () => {
    const clock = new VirtualClock("icount");
    clock.skipTo(500);
    clock.skipTo(400);
    expect(clock.now()).toBe(500);
  });

  it("fires timers at their time, ties in the order they were scheduled, cancelled ones never", () => {
    const clock = new VirtualClock("icount");
    const fired: string[] = [];
    clock.schedule(20, () => fired.push("b"));
    clock.schedule(10, () => fired.push("a"));
    clock.schedule(20, () => fired.push("c"));
    clock.schedule(15, () => fired.push("never")).cancel();
    clock.advance(10);
    clock.fire();
    expect(fired).toEqual(["a"]);
    expect(clock.next).toBe(20);
    clock.advance(10);
    clock.fire();
    expect(fired).toEqual(["a", "b", "c"]);
    expect(clock.next).toBe(Number.POSITIVE_INFINITY);
  });

  it("tells when a timer was scheduled, which may have become the first", () => {
    const clock = new VirtualClock("icount");
    const seen: number[] = [];
    clock.onSchedule(() => seen.push(clock.next));
    clock.schedule(9, () => undefined);
    clock.schedule(5, () => undefined);
    expect(seen).toEqual([9, 5]);
  });
});

describe("timers that a guest sets", () => {
  it("are kept no longer than they are set, however often they are set anew (a far deadline behind a near timer)", () => {
    const clock = new VirtualClock("icount");
    clock.schedule(1000, () => undefined);
    for (let k = 0; k < 100_000; k++) clock.schedule(1e12 + k, () => undefined).cancel();
    expect(clock.timers).toBe(1);
    expect(clock.next).toBe(1000);
  });

  it("fire in the order of their times, ties as they were set, whatever is cancelled between", () => {
    const commands = fc.array(
      fc.oneof(
        fc.record({ set: fc.integer({ min: 0, max: 20 }) }),
        fc.record({ cancel: fc.nat() }),
        fc.record({ pass: fc.integer({ min: 0, max: 5 }) }),
      ),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(commands, (list) => {
        const clock = new VirtualClock("icount");
        const fired: number[] = [];
        let model: { at: number; id: number }[] = [];
        const timers: { cancel(): void }[] = [];
        for (const command of list) {
          if ("set" in command) {
            const id = timers.length;
            const at = clock.now() + command.set;
            timers.push(clock.schedule(at, () => fired.push(id)));
            model.push({ at, id });
          } else if ("cancel" in command) {
            const id = timers.length === 0 ? 0 : command.cancel % timers.length;
            timers[id]?.cancel();
            model = model.filter((timer) => timer.id !== id);
          } else {
            clock.advance(command.pass);
            fired.length = 0;
            clock.fire();
            const due = model.filter(({ at }) => at <= clock.now()).sort((a, b) => a.at - b.at || a.id - b.id);
            expect(fired).toEqual(due.map(({ id }) => id));
            model = model.filter(({ at }) => at > clock.now());
          }
          expect(clock.timers).toBe(model.length);
          expect(clock.next).toBe(Math.min(...model.map(({ at }) => at)));
        }
      }),
    );
  });

  it("end one turn: what a timer sets for at once waits for the next", () => {
    const clock = new VirtualClock("icount");
    let fired = 0;
    const again = (): void => {
      fired++;
      clock.schedule(clock.now(), again);
    };
    again();
    clock.fire();
    expect(fired).toBe(2);
  });
});

describe("the host clock", () => {
  it("follows the host in ns and stands still while paused", () => {
    let ms = 1000;
    const clock = new VirtualClock("host", { hostNow: () => ms });
    ms = 1002;
    expect(clock.now()).toBe(2e6);
    clock.pause();
    ms = 1500;
    expect(clock.now()).toBe(2e6);
    clock.resume();
    ms = 1501;
    expect(clock.now()).toBe(3e6);
  });

  it("goes at its rate, and says how long its timers are away in ns of the host", () => {
    let ms = 0;
    const clock = new VirtualClock("host", { hostNow: () => ms, rate: 10 });
    clock.schedule(1e9, () => undefined);
    ms = 2;
    expect([clock.now(), clock.untilNext]).toEqual([20e6, 98e6]);
    clock.time.rate = 0.5;
    ms = 4;
    expect([clock.now(), clock.untilNext]).toEqual([21e6, 1958e6]);
    clock.time.freeze();
    ms = 1e6;
    expect([clock.now(), clock.untilNext]).toEqual([21e6, Number.POSITIVE_INFINITY]);
  });

  it("does not count instructions", () => {
    const clock = new VirtualClock("host", { hostNow: () => 0 });
    clock.advance(1000);
    clock.skipTo(1000);
    expect(clock.now()).toBe(0);
  });
});
