import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_RATE, MAX_TIME, MIN_RATE, VmClock, VmClockError } from "../src/index.js";

/** A clock over a source that the test moves. */
function clockOf(rate?: number, unixTime?: number): { readonly clock: VmClock; readonly source: { at: number } } {
  const source = { at: 0 };
  return { clock: new VmClock({ source: () => source.at, rate, unixTime }), source };
}

describe("virtual time", () => {
  it("starts at 0, wherever the source is, and at rate 1 is what has passed of the source, in whole ns", () => {
    let at = 1e15;
    const clock = new VmClock({ source: () => at });
    expect(clock.now()).toBe(0);
    at += 1234.75;
    expect(clock.now()).toBe(1234);
  });

  it("goes at its rate, from when the rate was set", () => {
    const { clock, source } = clockOf();
    source.at = 100;
    clock.rate = 10;
    expect(clock.now()).toBe(100);
    source.at = 150;
    expect(clock.now()).toBe(600);
    clock.rate = 0.5;
    source.at = 153;
    expect(clock.now()).toBe(601);
    expect(clock.rate).toBe(0.5);
  });

  it("stands still while frozen, and goes on where it stood; the rate is kept, and can be set meanwhile", () => {
    const { clock, source } = clockOf(2);
    source.at = 10;
    clock.freeze();
    clock.freeze();
    source.at = 1e9;
    expect([clock.now(), clock.frozen, clock.rate]).toEqual([20, true, 2]);
    clock.rate = 3;
    source.at = 2e9;
    expect(clock.now()).toBe(20);
    clock.thaw();
    source.at += 5;
    expect([clock.now(), clock.frozen]).toEqual([35, false]);
  });

  it("jumps forward, also while frozen, and the time of day with it", () => {
    const { clock, source } = clockOf(1, 1000);
    source.at = 7;
    clock.jump(3e9);
    expect([clock.now(), clock.realtime()]).toEqual([3e9 + 7, 1003.000000007]);
    clock.freeze();
    clock.jump(1);
    expect(clock.now()).toBe(3e9 + 8);
  });

  it("jumps to a point ahead, the first whole ns not before it, and nowhere for one that has passed", () => {
    const { clock, source } = clockOf();
    clock.jumpTo(100.5);
    expect(clock.now()).toBe(101);
    clock.jumpTo(50);
    expect(clock.now()).toBe(101);
    source.at = 9;
    expect(clock.now()).toBe(110);
  });
});

it("a jump is as long as it says, however near the next ns is", () => {
  const { clock, source } = clockOf(1000 - 2 ** -30);
  source.at = 1;
  clock.freeze();
  clock.jump(2 ** 31);
  expect(clock.now()).toBe(999 + 2 ** 31);
});

describe("the time of day", () => {
  it("is that of the start and what has passed", () => {
    const { clock, source } = clockOf(10, 1_700_000_000.5);
    source.at = 1e8;
    expect(clock.realtime()).toBe(1_700_000_001.5);
  });

  it("alone is stepped, forward and backward", () => {
    const { clock } = clockOf(1, 1_700_000_000);
    clock.step(86_400e9);
    expect([clock.realtime(), clock.now()]).toEqual([1_700_086_400, 0]);
    clock.step(-2 * 86_400e9);
    expect([clock.realtime(), clock.now()]).toEqual([1_699_913_600, 0]);
  });
});

describe("refuses", () => {
  const message = (act: (clock: VmClock) => void): unknown => {
    const { clock, source } = clockOf(1, 100);
    source.at = 5;
    try {
      act(clock);
    } catch (error) {
      expect(error).toBeInstanceOf(VmClockError);
      expect([clock.now(), clock.realtime(), clock.rate]).toEqual([5, 100.000000005, 1]);
      return `${(error as VmClockError).code}: ${(error as VmClockError).message}`;
    }
    return null;
  };

  it.each([0, -1, 0.0009, 1000.1, Number.NaN, Number.POSITIVE_INFINITY])("a rate of %d", (rate) => {
    expect(message((clock) => Object.assign(clock, { rate }))).toBe(`rate: a rate of ${rate}: it can be 0.001 to 1000`);
    expect(() => clockOf(rate)).toThrow(VmClockError);
  });

  it.each([-1, MAX_TIME, Number.NaN])("a jump of %d ns", (ns) => {
    const wanted = `jump: a jump of ${ns} ns: from 5 ns it can be 0 or more, to below 2^62 ns`;
    expect(message((clock) => clock.jump(ns))).toBe(wanted);
    expect(message((clock) => clock.checkJump(ns))).toBe(wanted);
  });

  it("a jump to beyond its end", () => {
    expect(message((clock) => clock.jumpTo(MAX_TIME))).toContain("jump: ");
  });

  it.each([-101e9, MAX_TIME, Number.NaN])("a step of %d ns", (ns) => {
    expect(message((clock) => clock.step(ns))).toBe(
      `time-of-day: ${ns / 1e9} s: the time of day can be from 1970-01-01 to 2116-02-20`,
    );
  });

  it.each([-1, MAX_TIME / 1e9, Number.NaN])("to start at %d s", (unixTime) => {
    expect(() => clockOf(1, unixTime)).toThrow(VmClockError);
  });
});

const rates = fc.oneof(
  fc.constantFrom(MIN_RATE, 0.1, 1 / 3, 1, 10, MAX_RATE),
  fc.double({ min: MIN_RATE, max: MAX_RATE, noNaN: true }),
);
/** What is done to a clock, and how far its source moves before. */
const commands = fc.array(
  fc.record({
    pass: fc.nat({ max: 1e9 }),
    act: fc.oneof(
      fc.record({ rate: rates }),
      fc.record({ jump: fc.nat() }),
      fc.constantFrom("freeze" as const, "thaw" as const),
    ),
  }),
  { maxLength: 30 },
);
type Command = Parameters<Parameters<typeof commands.map>[0]>[0][number];

function act(clock: VmClock, command: Command["act"]): void {
  if (command === "freeze") clock.freeze();
  else if (command === "thaw") clock.thaw();
  else if ("rate" in command) clock.rate = command.rate;
  else clock.jump(command.jump);
}

describe("whatever is done to a clock", () => {
  it("it never goes backwards, and only a jump makes it go without its source, by as much as was said", () => {
    fc.assert(
      fc.property(commands, (list) => {
        const { clock, source } = clockOf();
        let last = 0;
        for (const { pass, act: command } of list) {
          source.at += pass;
          const before = clock.now();
          expect(before).toBeGreaterThanOrEqual(last);
          act(clock, command);
          last = clock.now();
          expect(last - before).toBe(typeof command === "object" && "jump" in command ? command.jump : 0);
        }
      }),
    );
  });

  it("changes of the rate lose nothing: a rate set anew all the time is that rate", () => {
    fc.assert(
      fc.property(rates, fc.array(fc.nat({ max: 100 }), { maxLength: 200 }), (rate, passes) => {
        const { clock, source } = clockOf(rate);
        for (const pass of passes) {
          source.at += pass;
          clock.rate = rate;
        }
        expect(Math.abs(clock.now() - source.at * rate)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it("the same over the same source is the same clock", () => {
    fc.assert(
      fc.property(commands, (list) => {
        const run = (): readonly number[] => {
          const { clock, source } = clockOf();
          return list.map(({ pass, act: command }) => {
            source.at += pass;
            act(clock, command);
            return clock.now();
          });
        };
        expect(run()).toEqual(run());
      }),
    );
  });

  it("a deadline is reached after as many units of the source as it says, and not one before", () => {
    const ahead = fc.oneof(
      fc.nat({ max: 1000 }),
      fc.nat({ max: 2 ** 40 }),
      fc.double({ min: 0, max: 1e12, noNaN: true }),
    );
    fc.assert(
      fc.property(commands, rates, ahead, (list, rate, ns) => {
        const { clock, source } = clockOf();
        for (const { pass, act: command } of list) {
          source.at += pass;
          act(clock, command);
        }
        clock.thaw();
        clock.rate = rate;
        const deadline = clock.now() + ns;
        const units = clock.until(deadline);
        expect(Number.isInteger(units)).toBe(true);
        source.at += units;
        expect(clock.now()).toBeGreaterThanOrEqual(deadline);
        if (units === 0) return;
        source.at -= 1;
        expect(clock.now()).toBeLessThan(deadline);
      }),
      { numRuns: 2000 },
    );
  });

  it("restored it goes on as the saved one", () => {
    fc.assert(
      fc.property(commands, fc.integer({ min: -1000, max: 1000 }), (list, ns) => {
        const { clock, source } = clockOf(1, 1e6);
        clock.step(ns);
        for (const { pass, act: command } of list) {
          source.at += pass;
          act(clock, command);
        }
        const other = clockOf();
        other.source.at = 12345;
        other.clock.restore(clock.save());
        for (const command of [{ rate: 2 }, "thaw"] as const) {
          source.at += 1000;
          other.source.at += 1000;
          expect([other.clock.now(), other.clock.realtime()]).toEqual([clock.now(), clock.realtime()]);
          act(clock, command);
          act(other.clock, command);
        }
      }),
    );
  });
});

describe("a deadline", () => {
  it("that has passed is 0 units away, frozen or not; else a frozen clock never reaches it", () => {
    const { clock, source } = clockOf();
    source.at = 10;
    expect([clock.until(10), clock.until(-1), clock.until(12)]).toEqual([0, 0, 2]);
    clock.freeze();
    expect([clock.until(10), clock.until(12)]).toEqual([0, Number.POSITIVE_INFINITY]);
  });

  it("at the end of all time is never reached", () => {
    expect(clockOf().clock.until(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
  });

  it("is reached also where ns are no longer whole", () => {
    const { clock, source } = clockOf(MIN_RATE);
    clock.jump(2 ** 61);
    const units = clock.until(2 ** 61 + 512);
    source.at += units;
    expect(units).toBeLessThanOrEqual(512_001);
    expect(clock.now()).toBe(2 ** 61 + 512);
  });
});
