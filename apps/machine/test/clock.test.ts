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

describe("the host clock", () => {
  it("follows the host in ns and stands still while paused", () => {
    let ms = 1000;
    const clock = new VirtualClock("host", () => ms);
    ms = 1002;
    expect(clock.now()).toBe(2e6);
    clock.pause();
    ms = 1500;
    expect(clock.now()).toBe(2e6);
    clock.resume();
    ms = 1501;
    expect(clock.now()).toBe(3e6);
  });

  it("does not count instructions", () => {
    const clock = new VirtualClock("host", () => 0);
    clock.advance(1000);
    clock.skipTo(1000);
    expect(clock.now()).toBe(0);
  });
});
