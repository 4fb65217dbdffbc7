import { expect, test } from "vitest";
import { POWER_PORTS, PortBus, PowerControl } from "../src/index.js";

const BASE = 0x600;

function setup() {
  const log: string[] = [];
  const device = new PowerControl({
    basePort: BASE,
    onPowerOff: () => log.push("off"),
    onReset: () => log.push("reset"),
  });
  const bus = new PortBus();
  bus.attach(BASE, POWER_PORTS, device);
  return { bus, log, device };
}

test("SLP_EN with the S5 type powers off", () => {
  const { bus, log } = setup();
  bus.write(BASE, 1, (5 << 2) | 0x20);
  expect(log).toEqual(["off"]);
});

test("a type without SLP_EN, and other sleep types, do nothing", () => {
  const { bus, log } = setup();
  bus.write(BASE, 1, 5 << 2);
  for (const type of [0, 1, 2, 3, 4, 6, 7]) bus.write(BASE, 1, (type << 2) | 0x20);
  expect(log).toEqual([]);
});

test("the reset value in the reset register resets, any other does not", () => {
  const { bus, log } = setup();
  bus.write(BASE + 2, 1, 0);
  expect(log).toEqual([]);
  bus.write(BASE + 2, 1, 1);
  expect(log).toEqual(["reset"]);
});

test("all registers read 0, and clearing WAK_STS does nothing", () => {
  const { bus, log } = setup();
  bus.write(BASE + 1, 1, 0x80);
  expect([bus.read(BASE, 1), bus.read(BASE + 1, 1), bus.read(BASE + 2, 1), log]).toEqual([0, 0, 0, []]);
});

test("there is no state to save", () => {
  const { device } = setup();
  expect(device.save()).toEqual({});
  device.restore({});
});
