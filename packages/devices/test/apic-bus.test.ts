import { describe, expect, test } from "vitest";
import { FakeSystem } from "./fakes.js";

const ICR_LOW = 0x300;
const ICR_HIGH = 0x310;

/** Sends an IPI from CPU 0 through its xAPIC page. */
function ipi(system: FakeSystem, low: number, destination = 0): void {
  system.apic(0).mmioWrite(ICR_HIGH, 4, (destination << 24) >>> 0);
  system.apic(0).mmioWrite(ICR_LOW, 4, low);
}

describe("physical destinations (SDM 3A 11.6.2.1)", () => {
  test("name one APIC by its ID", () => {
    const system = new FakeSystem([0, 3, 7]);
    ipi(system, 0x40, 3);
    expect(system.pending()).toEqual([false, true, false]);
  });

  test("0xff names all", () => {
    const system = new FakeSystem([0, 3, 7]);
    ipi(system, 0x40, 0xff);
    expect(system.pending()).toEqual([true, true, true]);
  });

  test("in x2APIC mode 0xff is an ID and 0xffffffff names all", () => {
    const system = new FakeSystem([0, 1, 0xff]).x2apic();
    system.apic(0).writeMsr(0x830, 0x40, 0xff);
    expect(system.pending()).toEqual([false, false, true]);
    system.apic(0).writeMsr(0x830, 0x50, 0xffffffff);
    expect(system.pending()).toEqual([true, true, true]);
  });

  test("an ID nobody has is accepted by nobody", () => {
    expect(new FakeSystem([0, 1]).send({ destination: 9 })).toBe(false);
  });
});

describe("logical destinations (SDM 3A 11.6.2.2)", () => {
  test("flat: a mask over LDR", () => {
    const system = new FakeSystem([0, 1, 2]);
    for (const [i, apic] of system.apics.entries()) apic.mmioWrite(0xd0, 4, (1 << (24 + i)) >>> 0);
    ipi(system, 0x840, 0b101);
    expect(system.pending()).toEqual([true, false, true]);
  });

  test("cluster: the high nibble names the cluster, the low one is a mask", () => {
    const system = new FakeSystem([0, 1, 2, 3]);
    [0x11, 0x12, 0x21, 0x22].forEach((ldr, i) => {
      system.apic(i).mmioWrite(0xe0, 4, 0x0fffffff);
      system.apic(i).mmioWrite(0xd0, 4, (ldr << 24) >>> 0);
    });
    ipi(system, 0x840, 0x23);
    expect(system.pending()).toEqual([false, false, true, true]);
    ipi(system, 0x850, 0xff);
    expect(system.pending()).toEqual([true, true, true, true]);
  });

  test("x2APIC: cluster in the high half, mask in the low half", () => {
    const system = new FakeSystem([0x01, 0x10, 0x11, 0x12]).x2apic();
    system.apic(0).writeMsr(0x830, 0x840, 0x10006);
    expect(system.pending()).toEqual([false, false, true, true]);
  });
});

describe("shorthands (SDM 3A 11.6.1)", () => {
  test.each([
    ["self", 0x40000, [true, false, false]],
    ["all including self", 0x80000, [true, true, true]],
    ["all excluding self", 0xc0000, [false, true, true]],
  ])("%s", (_name, bits, expected) => {
    const system = new FakeSystem([0, 1, 2]);
    ipi(system, 0x40 | bits, 2);
    expect(system.pending()).toEqual(expected);
  });
});

describe("delivery modes", () => {
  test("lowest priority goes to the APIC with the lowest PPR, to the first of equals, never to a disabled one", () => {
    const system = new FakeSystem([0, 1, 2]);
    system.apic(0).mmioWrite(0x80, 4, 0x20);
    ipi(system, 0x140, 0xff);
    expect(system.pending()).toEqual([false, true, false]);
    system.apic(1).mmioWrite(0xf0, 4, 0xff);
    ipi(system, 0x150, 0xff);
    expect(system.pending()).toEqual([false, true, true]);
  });

  test("NMI, INIT and SIPI reach the CPU; INIT resets the APIC but not its base and mode", () => {
    const system = new FakeSystem([0, 1]).x2apic();
    const [boot, ap] = [system.apic(0), system.apic(1)];
    ap.writeMsr(0x808, 0x30, 0);
    for (const icr of [0x4400, 0x4500, 0x4608]) boot.writeMsr(0x830, icr, 1);
    expect(system.cpus[1]?.log).toEqual(["nmi", "init", "sipi 8"]);
    expect(ap.readMsr(0x808)).toBe(0);
    expect(ap.readMsr(0x80f)).toBe(0xff);
    expect(ap.mode).toBe("x2apic");
  });

  test("INIT level de-assert does nothing", () => {
    const system = new FakeSystem([0, 1]);
    ipi(system, 0x8500, 1);
    expect(system.cpus[1]?.log).toEqual([]);
    ipi(system, 0xc500, 1);
    expect(system.cpus[1]?.log).toEqual(["init"]);
  });

  test.each([
    ["SMI", 2],
    ["reserved", 3],
    ["ExtINT", 7],
  ])("%s is accepted by nobody", (_name, mode) => {
    const system = new FakeSystem([0]);
    expect(system.send({ mode })).toBe(false);
    expect(system.cpus[0]?.log).toEqual([]);
  });

  test("IPIs are edge-triggered whatever the trigger bit says", () => {
    const system = new FakeSystem([0]);
    ipi(system, 0xc040);
    system.apic(0).acknowledge();
    system.apic(0).mmioWrite(0xb0, 4, 0);
    expect(system.eois).toEqual([]);
  });
});
