import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VirtioConsole, VirtioRng } from "../src/index.js";
import { BUFFERS, INDIRECT, NEXT, TestDriver, WRITE } from "./virtio-driver.js";

const ascii = (text: string) => new TextEncoder().encode(text);
const OUTSIDE = 0x7000_0000;

/** A console whose transmit queue (1) shows what the device read. */
function setup() {
  let sent = "";
  const device = new VirtioConsole({
    onTransmit: (bytes) => {
      sent += String.fromCharCode(...bytes);
    },
  });
  const driver = new TestDriver(device).start();
  return { device, driver, desc: driver.rings(1).desc, sent: () => sent };
}

describe("chains (virtio 1.2, 2.7)", () => {
  test("the buffers of a chain are read in order and come back by their head", () => {
    const { driver, sent } = setup();
    const head = driver.add(
      1,
      driver.buffer(ascii("one ")),
      driver.buffer(ascii("two ")),
      driver.buffer(ascii("three")),
    );
    driver.notify(1);
    expect(sent()).toBe("one two three");
    expect(driver.take(1)).toEqual({ head, written: 0 });
  });

  test("the ring wraps, and its index passes 65535", () => {
    const { driver, sent } = setup();
    const buffer = driver.buffer(ascii("x"));
    for (let i = 0; i < 65_540; i++) {
      driver.add(1, buffer);
      driver.notify(1);
      expect(driver.take(1)).toEqual({ head: i % 8, written: 0 });
    }
    expect(sent().length).toBe(65_540);
  });

  test("all chains that wait are taken with one notification", () => {
    const { driver, sent } = setup();
    for (const letter of "abcdefgh") driver.add(1, driver.buffer(ascii(letter)));
    driver.notify(1);
    expect(sent()).toBe("abcdefgh");
  });

  test("a chain may have as many buffers as the queue has entries", () => {
    const { driver, sent } = setup();
    driver.add(1, ...Array.from("abcdefgh", (letter) => driver.buffer(ascii(letter))));
    driver.notify(1);
    expect(sent()).toBe("abcdefgh");
  });

  test("an indirect table is followed, after direct descriptors too, and its write flag is ignored", () => {
    const { driver, desc, sent } = setup();
    const table = driver.buffer(32);
    driver.writeDescriptor(desc, driver.buffer(ascii("a")), NEXT, 1);
    driver.writeDescriptor(desc + 16, table, INDIRECT | WRITE, 0);
    driver.writeDescriptor(table.gpa, driver.buffer(ascii("b")), NEXT, 1);
    driver.writeDescriptor(table.gpa + 16, driver.buffer(ascii("c")), 0, 0);
    driver.offer(1, 0);
    driver.notify(1);
    expect(sent()).toBe("abc");
    expect(driver.take(1)).toEqual({ head: 0, written: 0 });
  });
});

describe("a malformed queue stops the device with DEVICE_NEEDS_RESET", () => {
  type Setup = ReturnType<typeof setup>;
  const buffer = { gpa: BUFFERS, length: 4 };
  const cases: [string, (s: Setup) => void][] = [
    ["a head outside the table", ({ driver }) => driver.offer(1, 8)],
    ["a next outside the table", ({ driver, desc }) => driver.writeDescriptor(desc, buffer, NEXT, 8)],
    ["a chain that loops", ({ driver, desc }) => driver.writeDescriptor(desc, buffer, NEXT, 0)],
    ["a buffer outside RAM", ({ driver, desc }) => driver.writeDescriptor(desc, { gpa: OUTSIDE, length: 4 }, 0, 0)],
    ["a buffer beyond 2^53", ({ driver, desc }) => driver.writeDescriptor(desc, { gpa: 2 ** 60, length: 4 }, 0, 0)],
    [
      "a readable buffer after a writable one",
      ({ driver, desc }) => {
        driver.writeDescriptor(desc, buffer, NEXT | WRITE, 1);
        driver.writeDescriptor(desc + 16, buffer, 0, 0);
      },
    ],
    [
      "an indirect descriptor with a successor",
      ({ driver, desc }) => driver.writeDescriptor(desc, { gpa: BUFFERS, length: 16 }, INDIRECT | NEXT, 1),
    ],
    [
      "an indirect table of no or broken entries",
      ({ driver, desc }) => driver.writeDescriptor(desc, { gpa: BUFFERS, length: 24 }, INDIRECT, 0),
    ],
    [
      "an indirect table outside RAM",
      ({ driver, desc }) => driver.writeDescriptor(desc, { gpa: OUTSIDE, length: 16 }, INDIRECT, 0),
    ],
    [
      "an indirect table in an indirect table",
      ({ driver, desc }) => {
        driver.writeDescriptor(desc, { gpa: BUFFERS, length: 16 }, INDIRECT, 0);
        driver.writeDescriptor(BUFFERS, { gpa: BUFFERS, length: 16 }, INDIRECT, 0);
      },
    ],
    [
      "an indirect table that loops",
      ({ driver, desc }) => {
        driver.writeDescriptor(desc, { gpa: BUFFERS, length: 16 }, INDIRECT, 0);
        driver.writeDescriptor(BUFFERS, buffer, NEXT, 0);
      },
    ],
    [
      "a chain with more buffers than the queue has entries",
      ({ driver, desc }) => {
        driver.writeDescriptor(desc, { gpa: BUFFERS, length: 16 * 9 }, INDIRECT, 0);
        for (let i = 0; i < 9; i++) driver.writeDescriptor(BUFFERS + 16 * i, buffer, i < 8 ? NEXT : 0, i + 1);
      },
    ],
    [
      "more than 2^32 bytes",
      ({ driver, desc }) => {
        driver.writeDescriptor(desc, { gpa: 0, length: 0xffffffff }, NEXT, 1);
        driver.writeDescriptor(desc + 16, buffer, 0, 0);
      },
    ],
    [
      "an available index too far ahead",
      ({ driver }) => driver.memory.view.setUint16(driver.rings(1).avail + 2, 100, true),
    ],
  ];

  test.each(cases)("%s", (_name, arrange) => {
    const s = setup();
    s.driver.memory.view.setUint16(s.driver.rings(1).avail + 2, 1, true);
    arrange(s);
    s.driver.notify(1);
    expect([s.driver.needsReset, s.driver.read(0x60) & 2, s.driver.irq.level]).toEqual([true, 2, true]);
    expect([s.driver.take(1), s.sent()]).toEqual([null, ""]);
    s.driver.notify(1);
    expect(s.driver.take(1)).toBe(null);
  });

  test("rings outside RAM", () => {
    const { driver } = setup();
    for (const register of [0x80, 0x90, 0xa0]) {
      driver.negotiate();
      driver.setupQueue(1);
      driver.write(0x44, 0);
      driver.write(register, OUTSIDE);
      driver.write(0x44, 1);
      driver.add(1, driver.buffer(ascii("x")));
      driver.write(0x70, 0x0f);
      driver.turns.run();
      expect([register, driver.needsReset]).toEqual([register, true]);
    }
  });

  test("a reset mends it", () => {
    const { driver, sent } = setup();
    driver.offer(1, 8);
    driver.notify(1);
    driver.start();
    driver.add(1, driver.buffer(ascii("again")));
    driver.notify(1);
    expect([driver.needsReset, sent()]).toEqual([false, "again"]);
  });
});

test("a device that writes into its own available ring gives way to others after each turn", () => {
  let fills = 0;
  const device = new VirtioRng({
    entropy: {
      fill: (dst) => {
        // Every fill makes the available index run one ahead of what the device has taken.
        fills++;
        new DataView(dst.buffer).setUint16(0, fills + 1, true);
      },
    },
  });
  const driver = new TestDriver(device).start();
  driver.writeDescriptor(driver.rings(0).desc, { gpa: driver.rings(0).avail + 2, length: 2 }, WRITE, 0);
  driver.offer(0, 0);
  driver.write(0x50, 0);
  expect(fills).toBe(0);
  for (let turns = 1; turns <= 3; turns++) {
    driver.turns.turn();
    expect(fills).toBe(1024 * turns);
  }
});

test("whatever the rings hold, a notification returns and nothing throws", () => {
  const descriptor = fc.record({
    gpa: fc.oneof(fc.nat(4 << 20), fc.constantFrom(0x20000, 0x24000, 0x28000, OUTSIDE, 2 ** 60)),
    length: fc.oneof(fc.nat(64), fc.constantFrom(16, 32, 128, 0xffffffff)),
    flags: fc.nat(7),
    next: fc.nat(9),
  });
  const heads = fc.array(fc.nat(9), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(fc.array(descriptor, { minLength: 8, maxLength: 8 }), heads, fc.nat(12), (table, ring, index) => {
      const { driver, desc } = setup();
      table.forEach((entry, i) => {
        driver.writeDescriptor(desc + 16 * i, entry, entry.flags, entry.next);
        driver.writeDescriptor(BUFFERS + 16 * i, entry, entry.flags, entry.next);
      });
      for (const head of ring) driver.offer(1, head);
      driver.memory.view.setUint16(driver.rings(1).avail + 2, index, true);
      driver.notify(1);
      driver.notify(0);
      const used = driver.memory.view.getUint16(driver.rings(1).used + 2, true);
      if (driver.needsReset) expect(used).toBeLessThanOrEqual(index);
      else expect(used).toBe(index);
    }),
    { numRuns: 300 },
  );
});
