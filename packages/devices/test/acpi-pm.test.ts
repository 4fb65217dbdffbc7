import { describe, expect, test } from "vitest";
import { AcpiPm, PM_PORTS, PortBus } from "../src/index.js";

const BASE = 0x640;
const S5 = 5;
const SLP_EN = 1 << 13;

function setup() {
  const log: string[] = [];
  const clock = { ns: 0, now: () => clock.ns, schedule: () => ({ cancel: () => undefined }) };
  const device = new AcpiPm({ clock, basePort: BASE, s5Type: S5, onPowerOff: () => log.push("off") });
  const bus = new PortBus();
  bus.attach(BASE, PM_PORTS, device);
  return { bus, log, device, clock };
}

describe("ACPI fixed hardware (ACPI 6.5, 4.8.3)", () => {
  test("the timer counts at 3.579545 MHz, modulo 2^32", () => {
    const { bus, clock } = setup();
    expect(bus.read(BASE + 8, 4)).toBe(0);
    clock.ns = 1e9;
    expect(bus.read(BASE + 8, 4)).toBe(3_579_545);
    clock.ns = 1e9 * 1300;
    expect(bus.read(BASE + 8, 4)).toBe((3_579_545 * 1300) % 2 ** 32);
  });

  test("SLP_EN with the type of S5 powers off, in one access or by bytes; another type does nothing", () => {
    const { bus, log } = setup();
    for (const type of [0, 1, 2, 3, 4, 6, 7]) bus.write(BASE + 4, 2, (type << 10) | SLP_EN);
    bus.write(BASE + 4, 2, S5 << 10);
    expect(log).toEqual([]);
    bus.write(BASE + 4, 2, (S5 << 10) | SLP_EN);
    bus.write(BASE + 5, 1, ((S5 << 10) | SLP_EN) >> 8);
    expect(log).toEqual(["off", "off"]);
  });

  test("ACPI mode is on, SLP_EN reads 0, SLP_TYP keeps its value", () => {
    const { bus } = setup();
    expect(bus.read(BASE + 4, 2)).toBe(1);
    bus.write(BASE + 4, 2, (3 << 10) | SLP_EN);
    expect(bus.read(BASE + 4, 2)).toBe((3 << 10) | 1);
  });

  test("no event is ever there, whatever is enabled", () => {
    const { bus } = setup();
    bus.write(BASE, 4, 0xffff_ffff);
    expect(bus.read(BASE, 4)).toBe(0xffff_0000);
  });

  test("its state can be saved and restored", () => {
    const [one, other] = [setup(), setup()];
    one.bus.write(BASE + 2, 2, 0x121);
    one.bus.write(BASE + 4, 2, 3 << 10);
    other.device.restore(structuredClone(one.device.save()));
    for (const at of [0, 4]) expect(other.bus.read(BASE + at, 4)).toBe(one.bus.read(BASE + at, 4));
  });
});
