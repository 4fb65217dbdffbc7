import { describe, expect, test } from "vitest";
import { VirtioConsole, VirtioRng } from "../src/index.js";
import { TestDriver } from "./virtio-driver.js";

const rng = () => new TestDriver(new VirtioRng({ entropy: { fill: (dst) => dst.fill(0xa5) } }));
const vconsole = () => new TestDriver(new VirtioConsole({ onTransmit: () => undefined }));

describe("registers (virtio 1.2, 4.2.2)", () => {
  test("magic, version 2, device ID, and no shared memory", () => {
    const driver = rng();
    expect([0x00, 0x04, 0x08, 0xb0, 0xbc].map((offset) => driver.read(offset))).toEqual([
      0x74726976, 2, 4, 0xffffffff, 0xffffffff,
    ]);
  });

  test("features: the device's and INDIRECT_DESC low, VERSION_1 high, none above", () => {
    const driver = vconsole();
    const words = [0, 1, 2].map((word) => {
      driver.write(0x14, word);
      return driver.read(0x10);
    });
    expect(words).toEqual([0x10000001, 1, 0]);
  });

  test("queues that exist have a size, others 0", () => {
    const driver = vconsole();
    const sizes = [0, 1, 2].map((queue) => {
      driver.write(0x30, queue);
      return driver.read(0x34);
    });
    expect(sizes).toEqual([64, 64, 0]);
  });

  test("registers take aligned 4-byte accesses only, the configuration space any width and no writes", () => {
    const driver = vconsole();
    expect([driver.mmio.mmioRead(0, 1), driver.mmio.mmioRead(2, 2)]).toEqual([0, 0]);
    driver.mmio.mmioWrite(0x70, 1, 1);
    expect(driver.read(0x70)).toBe(0);
    driver.write(0x100, 0xffffffff);
    expect([driver.read(0x100), driver.mmio.mmioRead(0x102, 2), driver.mmio.mmioRead(0x102, 1)]).toEqual([
      0x190050, 25, 25,
    ]);
    expect(driver.read(0x1fc)).toBe(0);
  });
});

describe("initialisation (virtio 1.2, 3.1)", () => {
  test("FEATURES_OK is granted for offered features with VERSION_1", () => {
    expect(vconsole().negotiate(1)).toBe(0x0b);
  });

  test.each([
    ["without VERSION_1", 0, 0],
    ["for a feature that was not offered", 1 << 5, 1],
    ["for a high feature that was not offered", 0, 3],
  ])("FEATURES_OK is refused %s, and then DRIVER_OK too", (_name, low, high) => {
    const driver = vconsole();
    expect(driver.negotiate(low, high)).toBe(0x03);
    driver.write(0x70, 0x07);
    expect(driver.read(0x70)).toBe(0x03);
  });

  test("a device behind an IOMMU offers ACCESS_PLATFORM, and does not work for a driver that does not take it", () => {
    const driver = new TestDriver(new VirtioConsole({ onTransmit: () => undefined }), 8, true);
    driver.write(0x14, 1);
    expect(driver.read(0x10)).toBe(3);
    expect([driver.negotiate(1, 1), driver.negotiate(1, 3)]).toEqual([0x03, 0x0b]);
  });

  test("features cannot change after FEATURES_OK", () => {
    const driver = vconsole();
    driver.negotiate(0);
    driver.write(0x24, 1);
    driver.write(0x20, 0);
    driver.write(0x70, 0x0f);
    expect([driver.read(0x70), driver.mmio.save().driverFeatures]).toEqual([0x0f, [0, 1]]);
  });

  test("status bits are only added; 0 resets everything", () => {
    const driver = rng().start();
    driver.write(0x70, 1);
    expect(driver.read(0x70)).toBe(0x0f);
    driver.write(0x70, 0);
    expect([driver.read(0x70), driver.read(0x44), driver.read(0x60), driver.irq.level]).toEqual([0, 0, 0, false]);
  });

  test("notifications before DRIVER_OK do nothing; buffers offered then are used at DRIVER_OK", () => {
    const driver = rng();
    driver.negotiate();
    driver.setupQueue(0);
    driver.add(0, driver.buffer(8, true));
    driver.notify(0);
    expect(driver.take(0)).toBe(null);
    driver.write(0x70, 0x0f);
    driver.turns.run();
    expect(driver.take(0)).toEqual({ head: 0, written: 8 });
  });

  test.each([
    ["a size that is not a power of two", 0x38, 6],
    ["a size beyond the maximum", 0x38, 128],
    ["a size of 0", 0x38, 0],
    ["a misaligned descriptor table", 0x80, 0x10008],
    ["a misaligned available ring", 0x90, 0x10001],
    ["a misaligned used ring", 0xa0, 0x10002],
    ["an address beyond 2^53", 0x84, 0x200000],
  ])("a queue with %s is not enabled: DEVICE_NEEDS_RESET", (_name, register, value) => {
    const driver = rng();
    driver.negotiate();
    driver.write(0x30, 0);
    driver.write(register, value);
    driver.write(0x44, 1);
    expect([driver.read(0x44), driver.needsReset]).toEqual([0, true]);
  });

  test("a ready queue cannot be changed, a queue that is not can", () => {
    const driver = rng().start();
    driver.write(0x38, 4);
    driver.write(0x80, 0);
    driver.add(0, driver.buffer(8, true));
    driver.notify(0);
    expect(driver.take(0)).toEqual({ head: 0, written: 8 });
    driver.write(0x44, 0);
    expect(driver.read(0x44)).toBe(0);
  });
});

test("a queue that was switched off starts at index 0 again", () => {
  const driver = rng().start();
  for (let i = 0; i < 3; i++) driver.add(0, driver.buffer(8, true));
  driver.notify(0);
  driver.write(0x30, 0);
  driver.write(0x44, 0);
  driver.setupQueue(0);
  driver.add(0, driver.buffer(4, true));
  driver.notify(0);
  expect(driver.take(0)).toEqual({ head: 0, written: 4 });
});

describe("interrupts", () => {
  test("a used buffer raises the line until it is acknowledged", () => {
    const driver = rng().start();
    driver.add(0, driver.buffer(8, true));
    driver.notify(0);
    expect([driver.irq.level, driver.read(0x60)]).toEqual([true, 1]);
    driver.write(0x64, 2);
    expect(driver.irq.level).toBe(true);
    driver.write(0x64, 1);
    expect([driver.irq.level, driver.read(0x60)]).toEqual([false, 0]);
  });

  test("VIRTQ_AVAIL_F_NO_INTERRUPT keeps the line down", () => {
    const driver = rng().start();
    driver.memory.view.setUint16(driver.rings(0).avail, 1, true);
    driver.add(0, driver.buffer(8, true));
    driver.notify(0);
    expect([driver.take(0)?.written, driver.irq.level]).toEqual([8, false]);
  });

  test("a configuration change raises bit 1 and the generation, but no interrupt before DRIVER_OK", () => {
    const device = new VirtioConsole({ onTransmit: () => undefined });
    const driver = new TestDriver(device);
    device.resize(100, 30);
    expect([driver.read(0xfc), driver.irq.level]).toEqual([1, false]);
    driver.start(1);
    device.resize(120, 40);
    expect([driver.read(0xfc), driver.read(0x60), driver.irq.level]).toEqual([2, 2, true]);
    expect(driver.read(0x100)).toBe((40 << 16) | 120);
  });
});

test("save and restore carry a running device", () => {
  const driver = rng().start();
  driver.add(0, driver.buffer(8, true));
  driver.notify(0);
  const copy = rng();
  copy.memory.bytes.set(driver.memory.bytes);
  copy.mmio.restore(structuredClone(driver.mmio.save()));
  expect(copy.mmio.save()).toEqual(driver.mmio.save());
  expect(copy.irq.level).toBe(true);
  driver.add(0, driver.buffer(16, true));
  copy.memory.bytes.set(driver.memory.bytes);
  copy.notify(0);
  expect(copy.memory.view.getUint16(copy.rings(0).used + 2, true)).toBe(2);
});
