import { describe, expect, test } from "vitest";
import { FakeSystem } from "./fakes.js";

const LVT = 0x320;
const INITIAL = 0x380;
const CURRENT = 0x390;
const DIVIDE = 0x3e0;
const VECTOR = 0xec;
const PERIODIC = 1 << 17;
const DEADLINE = 2 << 17;
const BY_1 = 0b1011;

function timer(mode: number) {
  const system = new FakeSystem([0]);
  const apic = system.apic(0);
  apic.mmioWrite(DIVIDE, 4, BY_1);
  apic.mmioWrite(LVT, 4, VECTOR | mode);
  return { apic, clock: system.clock, system };
}

describe("one-shot (SDM 3A 11.5.4)", () => {
  test("counts down at 1 GHz and interrupts once, when it reaches 0", () => {
    const { apic, clock } = timer(0);
    apic.mmioWrite(INITIAL, 4, 1000);
    clock.advanceTo(400);
    expect(apic.mmioRead(CURRENT, 4)).toBe(600);
    clock.advanceTo(999);
    expect(apic.hasInterrupt()).toBe(false);
    clock.advanceTo(1000);
    expect(apic.acknowledge()).toBe(VECTOR);
    expect(apic.mmioRead(CURRENT, 4)).toBe(0);
    clock.advanceTo(10_000);
    expect(apic.mmioRead(0x270, 4)).toBe(0);
  });

  test("stays at 0 in periodic mode once it got there, also before the host served the expiry", () => {
    const { apic, clock } = timer(0);
    apic.mmioWrite(INITIAL, 4, 1000);
    clock.passTo(1500);
    expect(apic.mmioRead(CURRENT, 4)).toBe(0);
    apic.mmioWrite(LVT, 4, VECTOR | PERIODIC);
    expect(apic.mmioRead(CURRENT, 4)).toBe(0);
    expect(apic.acknowledge()).toBe(VECTOR);
    clock.advanceTo(10_000);
    expect(apic.hasInterrupt()).toBe(false);
  });

  test.each([
    [0b0000, 2],
    [0b0001, 4],
    [0b0010, 8],
    [0b0011, 16],
    [0b1000, 32],
    [0b1001, 64],
    [0b1010, 128],
    [0b1011, 1],
  ])("divide configuration %i divides by %i", (config, divisor) => {
    const { apic, clock } = timer(0);
    apic.mmioWrite(DIVIDE, 4, config);
    expect(apic.mmioRead(DIVIDE, 4)).toBe(config);
    apic.mmioWrite(INITIAL, 4, 100);
    clock.advanceTo(100 * divisor - 1);
    expect(apic.hasInterrupt()).toBe(false);
    clock.advanceTo(100 * divisor);
    expect(apic.hasInterrupt()).toBe(true);
  });

  test("an initial count of 0 stops it", () => {
    const { apic, clock } = timer(0);
    apic.mmioWrite(INITIAL, 4, 1000);
    apic.mmioWrite(INITIAL, 4, 0);
    clock.advanceTo(5000);
    expect(apic.hasInterrupt()).toBe(false);
    expect(clock.scheduled).toBe(0);
  });

  test("a masked entry counts without interrupting", () => {
    const { apic, clock } = timer(1 << 16);
    apic.mmioWrite(INITIAL, 4, 1000);
    clock.advanceTo(2000);
    expect(apic.mmioRead(CURRENT, 4)).toBe(0);
    expect(apic.hasInterrupt()).toBe(false);
  });

  test("a change of the divisor after expiry does not start it again", () => {
    const { apic, clock } = timer(0);
    apic.mmioWrite(INITIAL, 4, 1000);
    clock.advanceTo(1000);
    apic.acknowledge();
    apic.mmioWrite(DIVIDE, 4, 0b0000);
    clock.advanceTo(10_000);
    expect(apic.mmioRead(0x270, 4)).toBe(0);
  });

  test("a change of the divisor goes on from the current count", () => {
    const { apic, clock } = timer(0);
    apic.mmioWrite(INITIAL, 4, 1000);
    clock.advanceTo(500);
    apic.mmioWrite(DIVIDE, 4, 0b0000);
    expect(apic.mmioRead(CURRENT, 4)).toBe(500);
    clock.advanceTo(1499);
    expect(apic.hasInterrupt()).toBe(false);
    clock.advanceTo(1500);
    expect(apic.hasInterrupt()).toBe(true);
  });
});

describe("periodic", () => {
  test("interrupts every period and reloads the count", () => {
    const { apic, clock } = timer(PERIODIC);
    apic.mmioWrite(INITIAL, 4, 1000);
    for (const period of [1, 2, 3]) {
      clock.advanceTo(period * 1000 - 1);
      expect(apic.hasInterrupt()).toBe(false);
      clock.advanceTo(period * 1000 + 250);
      expect(apic.mmioRead(CURRENT, 4)).toBe(750);
      expect(apic.acknowledge()).toBe(VECTOR);
      apic.mmioWrite(0xb0, 4, 0);
    }
  });

  test("a late host gives one interrupt and the phase stays", () => {
    const { apic, clock } = timer(PERIODIC);
    apic.mmioWrite(INITIAL, 4, 1000);
    clock.jumpTo(5400);
    expect(apic.acknowledge()).toBe(VECTOR);
    apic.mmioWrite(0xb0, 4, 0);
    expect(apic.hasInterrupt()).toBe(false);
    clock.advanceTo(5999);
    expect(apic.hasInterrupt()).toBe(false);
    clock.advanceTo(6000);
    expect(apic.hasInterrupt()).toBe(true);
  });
});

describe("TSC-deadline (SDM 3A 11.5.4.1)", () => {
  test("interrupts when the TSC reaches the deadline, and then the MSR reads 0", () => {
    const { apic, clock, system } = timer(DEADLINE);
    system.tscOffset = 100;
    apic.writeMsr(0x6e0, 1100, 0);
    expect(apic.readMsr(0x6e0)).toBe(1100);
    clock.advanceTo(999);
    expect(apic.hasInterrupt()).toBe(false);
    clock.advanceTo(1000);
    expect(apic.acknowledge()).toBe(VECTOR);
    expect(apic.readMsr(0x6e0)).toBe(0);
  });

  test("a deadline in the past interrupts at once", () => {
    const { apic, clock } = timer(DEADLINE);
    clock.advanceTo(5000);
    apic.writeMsr(0x6e0, 4000, 0);
    expect(apic.hasInterrupt()).toBe(true);
    expect(clock.scheduled).toBe(0);
  });

  test("writing 0 disarms", () => {
    const { apic, clock } = timer(DEADLINE);
    apic.writeMsr(0x6e0, 1000, 0);
    apic.writeMsr(0x6e0, 0, 0);
    clock.advanceTo(2000);
    expect(apic.hasInterrupt()).toBe(false);
  });

  test("the high half counts", () => {
    const { apic, clock } = timer(DEADLINE);
    apic.writeMsr(0x6e0, 5, 2);
    expect([apic.readMsr(0x6e0), apic.hi]).toEqual([5, 2]);
    clock.advanceTo(2 * 2 ** 32 + 4);
    expect(apic.hasInterrupt()).toBe(false);
    clock.advanceTo(2 * 2 ** 32 + 5);
    expect(apic.hasInterrupt()).toBe(true);
  });

  test("a changed TSC moves the deadline in virtual time", () => {
    const { apic, clock, system } = timer(DEADLINE);
    apic.writeMsr(0x6e0, 10_000, 0);
    system.tscOffset = 9_000;
    apic.tscChanged();
    clock.advanceTo(1000);
    expect(apic.hasInterrupt()).toBe(true);
  });

  test("in the other modes the MSR ignores writes and reads 0; in this one the initial count does", () => {
    const other = timer(0);
    other.apic.writeMsr(0x6e0, 1000, 0);
    expect(other.apic.readMsr(0x6e0)).toBe(0);
    const { apic } = timer(DEADLINE);
    apic.mmioWrite(INITIAL, 4, 1000);
    expect([apic.mmioRead(INITIAL, 4), apic.mmioRead(CURRENT, 4)]).toEqual([0, 0]);
  });

  test("changing to or from this mode disarms the timer", () => {
    const { apic, clock } = timer(DEADLINE);
    apic.writeMsr(0x6e0, 1000, 0);
    apic.mmioWrite(LVT, 4, VECTOR);
    apic.mmioWrite(INITIAL, 4, 1000);
    apic.mmioWrite(LVT, 4, VECTOR | DEADLINE);
    clock.advanceTo(5000);
    expect(apic.hasInterrupt()).toBe(false);
    expect(clock.scheduled).toBe(0);
  });
});

test("INIT stops the timer", () => {
  const { apic, clock, system } = timer(PERIODIC);
  apic.mmioWrite(INITIAL, 4, 1000);
  system.send({ mode: 5 });
  expect(clock.scheduled).toBe(0);
  expect(apic.mmioRead(LVT, 4)).toBe(0x10000);
});
