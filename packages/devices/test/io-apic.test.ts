import { describe, expect, test } from "vitest";
import { IoApic } from "../src/index.js";
import { FakeSystem } from "./fakes.js";

const LEVEL = 1 << 15;
const MASKED = 1 << 16;

function setup(ids: readonly number[] = [0]) {
  const system = new FakeSystem(ids);
  const ioApic = new IoApic({ bus: system.bus, id: 2 });
  system.bus.attachIoApic(ioApic);
  const write = (register: number, value: number) => {
    ioApic.mmioWrite(0, 4, register);
    ioApic.mmioWrite(0x10, 4, value);
  };
  const read = (register: number) => {
    ioApic.mmioWrite(0, 4, register);
    return ioApic.mmioRead(0x10, 4);
  };
  const route = (pin: number, low: number, destination = 0) => {
    write(0x11 + 2 * pin, (destination << 24) >>> 0);
    write(0x10 + 2 * pin, low);
  };
  const complete = () => system.apic(0).mmioWrite(0xb0, 4, 0);
  return { system, apic: system.apic(0), ioApic, write, read, route, complete };
}

describe("registers (82093AA)", () => {
  test("ID, version with 24 entries, and masked entries after power-up", () => {
    const { read } = setup();
    expect(read(0)).toBe(2 << 24);
    expect(read(1)).toBe(0x00170020);
    expect(Array.from({ length: 24 }, (_, pin) => read(0x10 + 2 * pin))).toEqual(Array(24).fill(MASKED));
    expect(read(0x40)).toBe(0);
  });

  test("entries keep their writable bits; delivery status and remote IRR are read-only", () => {
    const { read, write } = setup();
    write(0x10, 0xffffffff);
    write(0x11, 0xffffffff);
    expect([read(0x10), read(0x11)]).toEqual([0x1afff, 0xff000000]);
  });

  test("a pin that does not exist is the host's mistake", () => {
    expect(() => setup().ioApic.line(24)).toThrow(RangeError);
  });
});

describe("edge-triggered entries", () => {
  test("deliver each rising edge once", () => {
    const { apic, ioApic, route, complete } = setup();
    route(4, 0x34);
    ioApic.line(4).set(true);
    expect(apic.acknowledge()).toBe(0x34);
    complete();
    ioApic.line(4).set(true);
    expect(apic.hasInterrupt()).toBe(false);
    ioApic.line(4).set(false);
    ioApic.line(4).set(true);
    expect(apic.acknowledge()).toBe(0x34);
  });

  test("an edge on a masked pin is lost", () => {
    const { apic, ioApic, route } = setup();
    route(4, 0x34 | MASKED);
    ioApic.line(4).set(true);
    route(4, 0x34);
    expect(apic.hasInterrupt()).toBe(false);
  });
});

describe("level-triggered entries", () => {
  test("set remote IRR until the EOI, then fire again while the line is up", () => {
    const { apic, ioApic, route, read, complete } = setup();
    route(16, 0x50 | LEVEL);
    ioApic.line(16).set(true);
    expect(read(0x30)).toBe(0x50 | LEVEL | (1 << 14));
    expect(apic.acknowledge()).toBe(0x50);
    complete();
    expect(apic.acknowledge()).toBe(0x50);
    ioApic.line(16).set(false);
    complete();
    expect(apic.hasInterrupt()).toBe(false);
    expect(read(0x30)).toBe(0x50 | LEVEL);
  });

  test("a line that goes down and up in service is delivered once, at the EOI", () => {
    const { apic, ioApic, route, complete } = setup();
    route(16, 0x50 | LEVEL);
    ioApic.line(16).set(true);
    apic.acknowledge();
    ioApic.line(16).set(false);
    ioApic.line(16).set(true);
    expect(apic.mmioRead(0x220, 4)).toBe(0);
    complete();
    expect(apic.acknowledge()).toBe(0x50);
  });

  test("a line that is up when its pin is unmasked is delivered", () => {
    const { apic, ioApic, route } = setup();
    route(16, 0x50 | LEVEL | MASKED);
    ioApic.line(16).set(true);
    expect(apic.hasInterrupt()).toBe(false);
    route(16, 0x50 | LEVEL);
    expect(apic.hasInterrupt()).toBe(true);
  });

  test("the EOI register ends an interrupt as the bus does", () => {
    const { ioApic, route, read } = setup();
    route(16, 0x50 | LEVEL);
    ioApic.line(16).set(true);
    ioApic.line(16).set(false);
    ioApic.mmioWrite(0x40, 4, 0x50);
    expect(read(0x30)).toBe(0x50 | LEVEL);
  });

  test("an interrupt nobody accepted leaves remote IRR clear", () => {
    const { ioApic, route, read } = setup();
    route(16, 0x50 | LEVEL, 9);
    ioApic.line(16).set(true);
    expect(read(0x30)).toBe(0x50 | LEVEL);
  });

  test("turning the entry to edge clears remote IRR", () => {
    const { ioApic, route, read } = setup();
    route(16, 0x50 | LEVEL);
    ioApic.line(16).set(true);
    route(16, 0x50 | MASKED);
    expect(read(0x30)).toBe(0x50 | MASKED);
  });
});

test("destinations: physical, broadcast and logical", () => {
  const { system, ioApic, route } = setup([0, 1]);
  for (const [i, apic] of system.apics.entries()) apic.mmioWrite(0xd0, 4, (1 << (24 + i)) >>> 0);
  const fire = (low: number, destination: number) => {
    for (const apic of system.apics) while (apic.acknowledge() >= 0) apic.mmioWrite(0xb0, 4, 0);
    route(3, low, destination);
    ioApic.line(3).set(true);
    ioApic.line(3).set(false);
    return system.pending();
  };
  expect(fire(0x40, 1)).toEqual([false, true]);
  expect(fire(0x40, 0xff)).toEqual([true, true]);
  expect(fire(0x840, 0b10)).toEqual([false, true]);
});

test("an entry in NMI mode delivers an NMI", () => {
  const { system, ioApic, route } = setup();
  route(2, 0x400);
  ioApic.line(2).set(true);
  expect(system.cpus[0]?.log).toEqual(["nmi"]);
});

test("save and restore carry entries, levels and the selected register", () => {
  const { ioApic, route } = setup();
  route(16, 0x50 | LEVEL);
  ioApic.line(16).set(true);
  const copy = setup();
  copy.ioApic.restore(structuredClone(ioApic.save()));
  expect(copy.ioApic.save()).toEqual(ioApic.save());
  copy.ioApic.eoi(0x50);
  expect(copy.apic.hasInterrupt()).toBe(true);
});
