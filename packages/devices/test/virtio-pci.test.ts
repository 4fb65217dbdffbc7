import { describe, expect, test } from "vitest";
import { type BlockBackend, VirtioBlk, VirtioConsole, VirtioPci, VirtioRng } from "../src/index.js";
import { PciDriver } from "./virtio-pci-driver.js";

const rng = () => new PciDriver(new VirtioRng({ entropy: { fill: (dst) => dst.fill(0xa5) } }));
const vconsole = (accessPlatform = false) =>
  new PciDriver(new VirtioConsole({ onTransmit: () => undefined }), accessPlatform);
const give = (driver: PciDriver<unknown>) => {
  driver.add(0, driver.buffer(8, true));
  driver.notify(0);
};

describe("discovery (virtio 1.2, 4.1.2)", () => {
  test("vendor 0x1af4, device 0x1040 and the device ID, revision 1, a subsystem of modern devices, INTA", () => {
    const driver = rng();
    expect([driver.config(0x00), driver.config(0x08, 1), driver.config(0x2c), driver.config(0x3d, 1)]).toEqual([
      0x1044_1af4, 1, 0x1100_1af4, 1,
    ]);
    expect(vconsole().config(0x08)).toBe(0x0780_0001);
  });

  test("capabilities name the common, notification, interrupt and device structures, and the window in configuration space", () => {
    expect(vconsole().structures).toEqual([
      { kind: 1, bar: 0, offset: 0x0000, length: 0x40, more: null },
      { kind: 2, bar: 0, offset: 0x3000, length: 8, more: 4 },
      { kind: 3, bar: 0, offset: 0x1000, length: 1, more: null },
      { kind: 4, bar: 0, offset: 0x2000, length: 4, more: null },
      { kind: 5, bar: 0, offset: 0, length: 0, more: 0 },
    ]);
  });

  test("a device without configuration has no structure for it", () => {
    expect(rng().structures.map(({ kind }) => kind)).toEqual([1, 2, 3, 5]);
  });

  test("MSI-X has a message for the configuration and one for each queue; its table and pending bits are in bar 1", () => {
    const driver = vconsole();
    const [at = 0] = driver.capabilities(0x11);
    expect([driver.config(at + 2, 2), driver.config(at + 4), driver.config(at + 8)]).toEqual([2, 1, 0x801]);
  });
});

describe("base address registers (PCI 3.0, 6.2.5.1)", () => {
  test("say how large they are when ones are written to them; others read 0", () => {
    const driver = rng();
    for (let at = 0x10; at <= 0x30; at += 4) driver.setConfig(at, 4, 0xffff_ffff);
    const bars = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30].map((at) => driver.config(at));
    expect(bars).toEqual([0xffff_c000, 0xffff_f000, 0, 0, 0, 0, 0]);
  });

  test("decode while the command register's memory bit is set, and move", () => {
    const driver = rng();
    driver.setConfig(0x10, 4, 0xc000_0000);
    expect(driver.mmio.has(0xc000_0000)).toBe(false);
    driver.setConfig(0x04, 2, 2);
    expect([driver.mmio.has(0xc000_0000), driver.mmio.has(0xc000_3fff)]).toEqual([true, true]);
    driver.setConfig(0x10, 4, 0xd000_0000);
    expect([driver.mmio.has(0xc000_0000), driver.mmio.has(0xd000_0000)]).toEqual([false, true]);
    driver.setConfig(0x04, 2, 0);
    expect(driver.mmio.has(0xd000_0000)).toBe(false);
  });

  test("do not decode where something else is", () => {
    const driver = rng();
    driver.mmio.attach(0xc000_2000, 4096, { mmioRead: () => 0x5a, mmioWrite: () => undefined });
    driver.enable();
    expect([driver.mmio.read(0xc000_2000, 1), driver.mmio.has(0xc000_0000)]).toEqual([0x5a, false]);
    driver.setConfig(0x10, 4, 0xc000_8000);
    expect(driver.mmio.has(0xc000_8000)).toBe(true);
  });

  test("do not decode where the bus is not", () => {
    const driver = rng();
    driver.setConfig(0x10, 4, 0x0010_0000);
    driver.setConfig(0x04, 2, 2);
    expect(driver.mmio.has(0x0010_0000)).toBe(false);
  });

  test("that change places do", () => {
    const driver = rng().enable();
    driver.setConfig(0x04, 2, 0);
    driver.setConfig(0x10, 4, 0xc001_0000);
    driver.setConfig(0x14, 4, 0xc000_0000);
    driver.setConfig(0x04, 2, 2);
    // The first vector is masked; the first queue's size is that of the device.
    expect([driver.mmio.read(0xc000_000c, 4), driver.mmio.read(0xc001_0018, 2)]).toEqual([1, 64]);
  });
});

describe("common configuration (virtio 1.2, 4.1.4.3)", () => {
  test("features: the device's and INDIRECT_DESC low, VERSION_1 high, none above; the driver's read back", () => {
    const driver = vconsole().enable();
    const words = [0, 1, 2].map((word) => {
      driver.setCommon(0x00, 4, word);
      return driver.common(0x04, 4);
    });
    expect(words).toEqual([0x10000001, 1, 0]);
    driver.negotiate(1);
    driver.setCommon(0x08, 4, 0);
    expect([driver.common(0x08, 4), driver.common(0x0c, 4)]).toEqual([0, 1]);
  });

  test("FEATURES_OK needs VERSION_1, and ACCESS_PLATFORM of a device behind an IOMMU", () => {
    expect([vconsole().enable().negotiate(0, 0), vconsole().enable().negotiate(0, 1)]).toEqual([0x03, 0x0b]);
    expect([vconsole(true).enable().negotiate(0, 1), vconsole(true).enable().negotiate(0, 3)]).toEqual([0x03, 0x0b]);
  });

  test("queues: how many there are, their sizes, where each is notified; those that do not exist have size 0", () => {
    const driver = vconsole().enable();
    expect(driver.common(0x12, 2)).toBe(2);
    const queues = [0, 1, 2].map((queue) => {
      driver.setCommon(0x16, 2, queue);
      return [driver.common(0x16, 2), driver.common(0x18, 2), driver.common(0x1e, 2)];
    });
    expect(queues).toEqual([
      [0, 64, 0],
      [1, 64, 1],
      [2, 0, 0],
    ]);
  });

  test("addresses are written by halves and read back; a queue that is enabled cannot be changed", () => {
    const driver = rng().enable();
    driver.negotiate();
    driver.setCommon(0x20, 4, 0x10000);
    driver.setCommon(0x24, 4, 1);
    expect([driver.common(0x20, 4), driver.common(0x24, 4)]).toEqual([0x10000, 1]);
    driver.setupQueue(0);
    driver.setCommon(0x18, 2, 4);
    driver.setCommon(0x1c, 2, 0);
    expect([driver.common(0x18, 2), driver.common(0x1c, 2)]).toEqual([8, 1]);
  });

  test("reads are of any width, writes of the register's own only", () => {
    const driver = rng().enable();
    driver.setCommon(0x14, 4, 1);
    driver.setCommon(0x17, 1, 1);
    driver.setCommon(0x14, 1, 1);
    expect([driver.common(0x14, 4), driver.common(0x13, 1), driver.common(0x13, 2), driver.common(0x3e, 2)]).toEqual([
      1, 0, 0x100, 0,
    ]);
  });

  test("the device's configuration is read at any width, its generation counts changes", () => {
    const device = new VirtioConsole({ onTransmit: () => undefined });
    const driver = new PciDriver(device).enable();
    expect([driver.mmio.read(driver.address(4), 4), driver.common(0x15, 1)]).toEqual([0x190050, 0]);
    device.resize(100, 30);
    expect([driver.mmio.read(driver.address(4) + 2, 1), driver.common(0x15, 1)]).toEqual([30, 1]);
  });
});

describe("INTA", () => {
  test("is high from a used buffer until the interrupt status is read", () => {
    const driver = rng().enable().start();
    give(driver);
    expect([driver.take(0)?.written, driver.irq.level, driver.config(0x06, 2) & 8]).toEqual([8, true, 8]);
    expect([driver.isr, driver.irq.level, driver.config(0x06, 2) & 8, driver.isr]).toEqual([1, false, 0, 0]);
  });

  test("stays low while the command register disables it, and the status register says what it would be", () => {
    const driver = rng().enable().start();
    driver.setConfig(0x04, 2, 0x406);
    give(driver);
    expect([driver.irq.level, driver.config(0x06, 2) & 8]).toEqual([false, 8]);
    driver.setConfig(0x04, 2, 0x006);
    expect(driver.irq.level).toBe(true);
  });
});

describe("MSI-X (PCI 3.0, 6.8.2; virtio 1.2, 4.1.5.1.2)", () => {
  test("a used buffer sends its queue's message, a change of the configuration another; INTA stays low", () => {
    const device = new VirtioConsole({ onTransmit: () => undefined });
    const driver = new PciDriver(device).enable().enableMessages().start(1, true);
    driver.add(1, driver.buffer(Uint8Array.of(0x61)));
    driver.notify(1);
    device.resize(100, 30);
    expect(driver.interrupts()).toEqual(
      [0x42, 0x40].map((vector) => ({ destination: 1, logical: false, mode: 0, vector, level: false })),
    );
    expect(driver.irq.level).toBe(false);
  });

  test("without a vector nothing is sent; one that does not exist reads back as none", () => {
    const driver = rng().enable().enableMessages();
    driver.negotiate();
    driver.setCommon(0x10, 2, 2);
    driver.setupQueue(0, 2);
    expect([driver.common(0x10, 2), driver.common(0x1a, 2)]).toEqual([0xffff, 0xffff]);
    driver.setCommon(0x14, 1, 0x0f);
    give(driver);
    expect([driver.take(0)?.written, driver.interrupts()]).toEqual([8, []]);
  });

  test("a masked vector is pending until it is unmasked", () => {
    const driver = rng().enable().enableMessages().start(0, true);
    driver.setVector(1, 0x51, true);
    give(driver);
    expect([driver.interrupts(), driver.mmio.read(0xc001_0800, 4)]).toEqual([[], 2]);
    driver.setVector(1, 0x52, false);
    expect([driver.interrupts().map((sent) => sent?.vector), driver.mmio.read(0xc001_0800, 4)]).toEqual([[0x52], 0]);
  });

  test("a masked function holds every message back, once", () => {
    const driver = rng().enable().enableMessages().start(0, true);
    const [at = 0] = driver.capabilities(0x11);
    driver.setConfig(at + 2, 2, 0xc000);
    give(driver);
    give(driver);
    expect(driver.interrupts()).toEqual([]);
    driver.setConfig(at + 2, 2, 0x8000);
    expect(driver.interrupts()).toHaveLength(1);
  });

  test("the table takes words of 4 bytes; pending bits are read-only", () => {
    const driver = rng().enable().enableMessages();
    driver.mmio.write(0xc001_0008, 1, 0x77);
    driver.mmio.write(0xc001_0800, 4, 0xff);
    driver.mmio.write(0xc001_0020, 4, 0xff);
    const read = [0xc001_0008, 0xc001_0800, 0xc001_0020].map((at) => driver.mmio.read(at, 4));
    expect([...read, driver.mmio.read(0xc001_0001, 1)]).toEqual([0x40, 0, 0, 0x10]);
  });

  test("a reset of the device forgets its vectors, not the table", () => {
    const driver = rng().enable().enableMessages().start(0, true);
    driver.setCommon(0x14, 1, 0);
    driver.setCommon(0x16, 2, 0);
    expect([driver.common(0x1a, 2), driver.mmio.read(0xc001_0018, 4)]).toEqual([0xffff, 0x41]);
  });
});

describe("the window in configuration space (virtio 1.2, 4.1.4.9)", () => {
  test("reaches both bars at every width while memory is not decoded", () => {
    const driver = vconsole();
    const window = driver.capabilities(9).at(-1) as number;
    const aim = (bar: number, offset: number, length: number): void => {
      driver.setConfig(window + 4, 1, bar);
      driver.setConfig(window + 8, 4, offset);
      driver.setConfig(window + 12, 4, length);
    };
    aim(0, 0x14, 1);
    driver.setConfig(window + 16, 1, 3);
    expect(driver.config(window + 16, 1)).toBe(3);
    aim(0, 0x12, 2);
    expect(driver.config(window + 16, 2)).toBe(2);
    aim(0, 0x2000, 4);
    expect(driver.config(window + 16, 4)).toBe(0x190050);
    aim(1, 0x0c, 4);
    expect(driver.config(window + 16, 4)).toBe(1);
  });

  test("does nothing for a place that is none", () => {
    const driver = rng();
    const window = driver.capabilities(9).at(-1) as number;
    for (const [bar, offset, length] of [
      [2, 0, 4],
      [0, 0x4000, 4],
      [0, 0x13, 2],
      [0, 0x14, 3],
      [1, 0xffff_fffc, 4],
    ] as const) {
      driver.setConfig(window + 4, 1, bar);
      driver.setConfig(window + 8, 4, offset);
      driver.setConfig(window + 12, 4, length);
      driver.setConfig(window + 16, 4, 0x12345678);
      expect(driver.config(window + 16)).toBe(0x12345678);
    }
    driver.enable();
    expect(driver.common(0x14, 1)).toBe(0);
  });
});

test("a disk is read through it", () => {
  const backend: BlockBackend = {
    ...{ sectors: 16, readonly: false, write: () => undefined, flush: () => undefined },
    read: (sector, dst) => void dst.fill(sector),
  };
  const driver = new PciDriver(new VirtioBlk({ backend })).enable().enableMessages().start(0, true);
  const [header, data, status] = [driver.buffer(16), driver.buffer(512, true), driver.buffer(1, true)];
  driver.memory.view.setUint32(header.gpa + 8, 7, true);
  driver.add(0, header, data, status);
  driver.notify(0);
  expect([driver.take(0), driver.bytes(data)[511], driver.bytes(status)[0]]).toEqual([{ head: 0, written: 513 }, 7, 0]);
  expect(driver.interrupts()).toHaveLength(1);
});

test("save and restore carry a running device, what it decodes and what it has pending", () => {
  const driver = rng().enable().enableMessages().start(0, true);
  driver.setVector(1, 0x51, true);
  give(driver);
  const copy = rng();
  copy.memory.bytes.set(driver.memory.bytes);
  copy.pci.restore(structuredClone(driver.pci.save()));
  expect(copy.pci.save()).toEqual(driver.pci.save());
  expect(copy.mmio.has(0xc000_0000)).toBe(true);
  copy.setVector(1, 0x51, false);
  expect(copy.interrupts().map((sent) => sent?.vector)).toEqual([0x51]);
  driver.add(0, driver.buffer(16, true));
  copy.memory.bytes.set(driver.memory.bytes);
  copy.notify(0);
  expect(copy.memory.view.getUint16(copy.rings(0).used + 2, true)).toBe(2);
});

test("a device with more queues than MSI-X has vectors shares what there is", () => {
  const device = new VirtioRng({ entropy: { fill: () => undefined } });
  const queueSizes = Array.from({ length: 200 }, () => 8);
  const many = new PciDriver(Object.defineProperty(device, "queueSizes", { value: queueSizes })).enable();
  const [at = 0] = many.capabilities(0x11);
  many.setCommon(0x10, 2, 127);
  expect([many.config(at + 2, 2), many.common(0x10, 2), many.pci instanceof VirtioPci]).toEqual([127, 127, true]);
  many.setCommon(0x10, 2, 128);
  expect(many.common(0x10, 2)).toBe(0xffff);
});
