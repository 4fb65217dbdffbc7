import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { I8254, PortBus, SystemControlPort } from "../src/index.js";
import { FakeClock, FakeLine } from "./fakes.js";

/** Time of an input clock pulse, ns: the first at which `ticks` have passed. */
const ns = (ticks: number) => Math.ceil((ticks * 88_000) / 105);

function setup() {
  const clock = new FakeClock();
  const irq = new FakeLine();
  const pit = new I8254({ clock, irq });
  const port61 = new SystemControlPort({ clock, pit });
  const ports = new PortBus();
  ports.attach(0x40, 4, pit);
  ports.attach(0x61, 1, port61);
  const at = (tick: number) => clock.advanceTo(ns(tick));
  const out = (port: number, ...bytes: number[]) => {
    for (const byte of bytes) ports.write(port, 1, byte);
  };
  const read = (port: number) => ports.read(port, 1);
  const word = (port: number) => read(port) | (read(port) << 8);
  /** Count of `counter` by the latch command. */
  const count = (counter: number) => {
    out(0x43, counter << 6);
    return word(0x40 + counter);
  };
  const status = (counter: number) => {
    out(0x43, 0xe0 | (2 << counter));
    return read(0x40 + counter);
  };
  const output = (counter: number) => status(counter) >> 7;
  /** Programs `counter`, low byte then high byte. */
  const program = (counter: number, mode: number, value: number, bcd = 0) => {
    out(0x43, (counter << 6) | 0x30 | (mode << 1) | bcd);
    out(0x40 + counter, value & 0xff, value >> 8);
  };
  /** What `look` gives at each of `ticks`. */
  const over = <T>(ticks: readonly number[], look: () => T) =>
    ticks.map((tick) => {
      at(tick);
      return look();
    });
  return { clock, irq, pit, port61, at, out, read, word, count, status, output, program, over };
}

// A count written at tick 0 is loaded with the first pulse, so a counter has counted n at tick 1 + n.
describe("mode 0, interrupt on terminal count (8254 datasheet)", () => {
  test("OUT goes low, counts down once, goes high at zero and stays; the count goes on", () => {
    const { program, over, output, count, irq } = setup();
    program(0, 0, 5);
    expect(over([0, 1, 2, 5, 6, 7, 100], () => [output(0), count(0), irq.edges])).toEqual([
      [0, 5, 0],
      [0, 5, 0],
      [0, 4, 0],
      [0, 1, 0],
      [1, 0, 1],
      [1, 0xffff, 1],
      [1, 0x10000 - 94, 1],
    ]);
  });

  test("a new count starts over; its first byte already takes OUT low", () => {
    const { program, at, out, output, irq } = setup();
    program(0, 0, 5);
    at(10);
    expect(output(0)).toBe(1);
    out(0x40, 10);
    expect([output(0), irq.level]).toEqual([0, false]);
    at(50);
    out(0x40, 0);
    at(60);
    expect(output(0)).toBe(0);
    at(61);
    expect([output(0), irq.edges]).toEqual([1, 2]);
  });

  test("the gate stops counting", () => {
    const { program, at, out, count, output } = setup();
    program(2, 0, 10);
    at(20);
    expect(count(2)).toBe(10);
    out(0x61, 1);
    at(24);
    expect(count(2)).toBe(6);
    out(0x61, 0);
    at(100);
    expect([count(2), output(2)]).toEqual([6, 0]);
    out(0x61, 1);
    at(106);
    expect([count(2), output(2)]).toEqual([0, 1]);
  });
});

describe("mode 1, one-shot", () => {
  test("a rising gate starts the pulse, and starts it again; a falling one does nothing", () => {
    const { program, at, out, over, output } = setup();
    program(2, 1, 4);
    at(10);
    expect(output(2)).toBe(1);
    out(0x61, 1);
    expect(over([11, 12, 14, 15], () => output(2))).toEqual([0, 0, 0, 1]);
    out(0x61, 0);
    out(0x61, 1);
    at(18);
    out(0x61, 0);
    out(0x61, 1);
    expect(over([20, 22, 23], () => output(2))).toEqual([0, 0, 1]);
  });

  test("a new count waits for the next trigger", () => {
    const { program, out, at, over, output, status } = setup();
    program(2, 1, 4);
    out(0x61, 1);
    out(0x42, 8, 0);
    expect(over([4, 5], () => output(2))).toEqual([0, 1]);
    expect(status(2) & 0x40).toBe(0x40);
    out(0x61, 0);
    out(0x61, 1);
    at(6);
    expect(status(2) & 0x40).toBe(0);
    expect(over([13, 14], () => output(2))).toEqual([0, 1]);
  });
});

describe("mode 2, rate generator", () => {
  test("OUT is low for the last of N pulses; an interrupt every N", () => {
    const { program, over, output, count, irq } = setup();
    program(0, 2, 4);
    expect(over([1, 2, 3, 4, 5, 6, 8, 9, 13, 41], () => [output(0), count(0), irq.edges])).toEqual([
      [1, 4, 1],
      [1, 3, 1],
      [1, 2, 1],
      [0, 1, 1],
      [1, 4, 2],
      [1, 3, 2],
      [0, 1, 2],
      [1, 4, 3],
      [1, 4, 4],
      [1, 4, 11],
    ]);
  });

  test("interrupts come exactly in time, without drift", () => {
    const { program, clock, irq } = setup();
    program(0, 2, 11932);
    for (const n of [1, 2, 3, 1000]) {
      clock.advanceTo(ns(1 + 11932 * n) - 1);
      expect(irq.edges).toBe(n);
      clock.advanceTo(ns(1 + 11932 * n));
      expect(irq.edges).toBe(n + 1);
    }
  });

  test("interrupts for which the host was late are one", () => {
    const { program, clock, irq } = setup();
    program(0, 2, 100);
    clock.jumpTo(ns(1 + 550));
    expect(irq.edges).toBe(2);
    clock.advanceTo(ns(1 + 600));
    expect(irq.edges).toBe(3);
  });

  test("a new count takes over at the end of the period", () => {
    const { program, at, out, over, count, status } = setup();
    program(0, 2, 10);
    at(5);
    out(0x40, 100, 0);
    expect(status(0) & 0x40).toBe(0x40);
    expect(over([10, 11, 12], () => count(0))).toEqual([1, 100, 99]);
    expect(status(0) & 0x40).toBe(0);
  });

  test("a low gate holds OUT high and stops; a rising one starts a period", () => {
    const { program, at, out, over, output, count } = setup();
    out(0x61, 1);
    program(2, 2, 4);
    at(4);
    expect(output(2)).toBe(0);
    out(0x61, 0);
    expect([output(2), count(2)]).toEqual([1, 1]);
    at(50);
    expect(count(2)).toBe(1);
    out(0x61, 1);
    expect(over([51, 53, 54, 55], () => [output(2), count(2)])).toEqual([
      [1, 4],
      [1, 2],
      [0, 1],
      [1, 4],
    ]);
  });
});

describe("mode 3, square wave", () => {
  test("an even count is high for half, low for half, and counts by two", () => {
    const { program, over, output, count, irq } = setup();
    program(0, 3, 6);
    expect(over([1, 2, 3, 4, 5, 6, 7, 10], () => [output(0), count(0), irq.edges])).toEqual([
      [1, 6, 1],
      [1, 4, 1],
      [1, 2, 1],
      [0, 6, 1],
      [0, 4, 1],
      [0, 2, 1],
      [1, 6, 2],
      [0, 6, 2],
    ]);
  });

  test("an odd count is high for one pulse more", () => {
    const { program, over, output } = setup();
    program(0, 3, 5);
    expect(over([1, 2, 3, 4, 5, 6, 8, 9], () => output(0))).toEqual([1, 1, 1, 0, 0, 1, 1, 0]);
  });

  test("a new count takes over at the end of the half", () => {
    const { program, at, out, over, output, irq } = setup();
    program(0, 3, 10);
    at(2);
    out(0x40, 4, 0);
    expect(over([5, 6, 7, 8, 9, 10, 12], () => [output(0), irq.edges])).toEqual([
      [1, 1],
      [0, 1],
      [0, 1],
      [1, 2],
      [1, 2],
      [0, 2],
      [1, 3],
    ]);
    at(14);
    out(0x40, 8, 0);
    expect(over([15, 16, 19, 20, 24], () => [output(0), irq.edges])).toEqual([
      [0, 3],
      [1, 4],
      [1, 4],
      [0, 4],
      [1, 5],
    ]);
  });
});

describe("modes 4 and 5, strobes", () => {
  test("mode 4: one low pulse, N after the count was written", () => {
    const { program, over, output, irq } = setup();
    program(0, 4, 3);
    expect(over([1, 3, 4, 5, 60000], () => [output(0), irq.edges])).toEqual([
      [1, 1],
      [1, 1],
      [0, 1],
      [1, 2],
      [1, 2],
    ]);
  });

  test("mode 5: one low pulse, N after the trigger", () => {
    const { program, at, out, over, output } = setup();
    program(2, 5, 3);
    at(100);
    expect(output(2)).toBe(1);
    out(0x61, 1);
    out(0x61, 0);
    expect(over([103, 104, 105], () => output(2))).toEqual([1, 0, 1]);
  });
});

describe("reading", () => {
  test("a latched count stays until it is read, byte by byte", () => {
    const { program, at, out, read, word } = setup();
    program(0, 2, 0x1234);
    at(1);
    out(0x43, 0);
    at(100);
    out(0x43, 0);
    expect(read(0x40)).toBe(0x34);
    at(200);
    expect(read(0x40)).toBe(0x12);
    expect(word(0x40)).toBe(0x1234 - 199);
  });

  test.each([
    [1, 0x34, 0x34],
    [2, 0x12, 0x1200],
  ])("access mode %i writes and reads one byte", (access, byte, loaded) => {
    const { at, out, read, status } = setup();
    out(0x43, (access << 4) | 4);
    out(0x40, byte);
    at(1);
    expect([read(0x40), read(0x40)]).toEqual([byte, byte]);
    expect(status(0) & 0x3f).toBe((access << 4) | 4);
    out(0x43, 0xd2);
    expect(read(0x40)).toBe(access === 1 ? loaded & 0xff : loaded >> 8);
  });

  test("read-back latches status and count of several counters; the status is read first", () => {
    const { program, at, out, read } = setup();
    program(0, 3, 100);
    program(1, 2, 0x123);
    at(11);
    out(0x43, 0xc6);
    expect([read(0x40), read(0x40), read(0x40)]).toEqual([0xb6, 80, 0]);
    expect([read(0x41), read(0x41), read(0x41)]).toEqual([0xb4, 0x19, 1]);
  });

  test("null count is set until a count is in force", () => {
    const { out, at, status } = setup();
    out(0x43, 0x34);
    expect(status(0)).toBe(0xf4);
    out(0x40, 9, 0);
    expect(status(0) & 0x40).toBe(0x40);
    at(1);
    expect(status(0) & 0x40).toBe(0);
  });

  test("the control port reads ones; modes 6 and 7 are 2 and 3", () => {
    const { out, read, status } = setup();
    out(0x43, 0x3c);
    expect([read(0x43), status(0) & 0x0e]).toEqual([0xff, 4]);
    out(0x43, 0x3e);
    expect(status(0) & 0x0e).toBe(6);
  });
});

describe("BCD", () => {
  test("counts in decimal; zero is 10000", () => {
    const { program, over, count } = setup();
    program(0, 2, 0x1000, 1);
    expect(over([1, 2, 11, 1000], () => count(0))).toEqual([0x1000, 0x0999, 0x0990, 0x0001]);
    program(1, 0, 0, 1);
    expect(over([1002, 11000, 11002], () => count(1))).toEqual([0x9999, 0x0001, 0x9999]);
  });

  test("binary zero is 65536", () => {
    const { program, at, count, irq } = setup();
    program(0, 2, 0);
    at(2);
    expect(count(0)).toBe(0xffff);
    at(65537);
    expect(irq.edges).toBe(2);
  });
});

describe("system control port B (82371SB, 2.5.5)", () => {
  test("keeps its low bits, shows counter 2 and a refresh that toggles every 15 us", () => {
    const { out, read, program, at, clock, port61 } = setup();
    out(0x61, 0xff);
    program(2, 0, 3);
    expect(read(0x61)).toBe(0x0f);
    at(4);
    expect(read(0x61)).toBe(0x2f);
    clock.advanceTo(15_085);
    expect(read(0x61)).toBe(0x3f);
    expect(port61.save()).toBe(0x0f);
  });
});

test("save and restore carry the counters, and interrupts go on in time", () => {
  const a = setup();
  a.program(0, 2, 1000);
  a.out(0x43, 0xc2);
  a.at(500);
  a.out(0x40, 44);
  const b = setup();
  b.at(500);
  b.pit.restore(structuredClone(a.pit.save()));
  b.port61.restore(a.port61.save());
  expect(b.pit.save()).toEqual(a.pit.save());
  b.irq.edges = 0;
  b.at(1001);
  expect(b.irq.edges).toBe(1);
  expect([b.read(0x40), b.read(0x61)]).toEqual([a.read(0x40), a.read(0x61)]);
});

test("whatever is written, registers read as bytes and time goes on", () => {
  const step = fc.record({
    port: fc.constantFrom(0x40, 0x41, 0x42, 0x43, 0x61),
    byte: fc.nat(255),
    ticks: fc.nat(300),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { out, read, at } = setup();
      let tick = 0;
      for (const { port, byte, ticks } of steps) {
        out(port, byte);
        tick += ticks;
        at(tick);
        for (const other of [0x40, 0x41, 0x42, 0x43, 0x61]) {
          const value = read(other);
          expect(Number.isInteger(value) && value >= 0 && value <= 255).toBe(true);
        }
      }
    }),
  );
});
