import { describe, expect, test } from "vitest";
import { BusRangeError, MmioBus, type MmioDevice, PortBus, type PortDevice } from "../src/index.js";

class FakePorts implements PortDevice {
  readonly log: string[] = [];
  constructor(readonly ioWidth: 1 | 2 | 4 = 4) {}
  ioRead(port: number, size: number): number {
    this.log.push(`r${size} ${port}`);
    return port & 0xff;
  }
  ioWrite(port: number, size: number, value: number): void {
    this.log.push(`w${size} ${port} ${value}`);
  }
}

class FakeMmio implements MmioDevice {
  readonly log: string[] = [];
  mmioRead(offset: number, size: number): number {
    this.log.push(`r${size} ${offset}`);
    return 0x1000 + offset;
  }
  mmioWrite(offset: number, size: number, value: number): void {
    this.log.push(`w${size} ${offset} ${value}`);
  }
}

describe("PortBus", () => {
  test("ports nobody owns read all ones and ignore writes", () => {
    const bus = new PortBus();
    bus.write(0x80, 1, 5);
    expect([bus.read(0x80, 1), bus.read(0x80, 2), bus.read(0xcf8, 4)]).toEqual([0xff, 0xffff, 0xffffffff]);
  });

  test("a device sees absolute ports and whole accesses up to its width", () => {
    const bus = new PortBus();
    const device = new FakePorts();
    bus.attach(0x100, 8, device);
    expect(bus.read(0x104, 4)).toBe(4);
    bus.write(0x100, 2, 0xabcd);
    expect(device.log).toEqual(["r4 260", "w2 256 43981"]);
  });

  test("accesses wider than the device, or across its edge, are done byte by byte", () => {
    const bus = new PortBus();
    const narrow = new FakePorts(1);
    bus.attach(0x70, 2, narrow);
    expect(bus.read(0x70, 4)).toBe(0xffff7170);
    bus.write(0x71, 2, 0x2211);
    expect(bus.read(0x70, 2)).toBe(0x7170);
    expect(narrow.log).toEqual(["r1 112", "r1 113", "w1 113 17", "r1 112", "r1 113"]);
  });

  test("the last port does not wrap", () => {
    const bus = new PortBus();
    bus.attach(0, 1, new FakePorts());
    expect(bus.read(0xffff, 2)).toBe(0xffff);
  });

  test("a port has one owner until it is detached", () => {
    const bus = new PortBus();
    const detach = bus.attach(0x10, 4, new FakePorts());
    expect(() => bus.attach(0x0e, 4, new FakePorts())).toThrow(expect.objectContaining({ code: "taken" }));
    expect(bus.read(0x0e, 1)).toBe(0xff);
    detach();
    bus.attach(0x0e, 4, new FakePorts());
    expect(bus.read(0x0e, 1)).toBe(0x0e);
  });

  test.each([
    [-1, 1],
    [0xffff, 2],
    [0, 0],
    [1.5, 1],
  ])("range %d+%d is refused", (base, count) => {
    expect(() => new PortBus().attach(base, count, new FakePorts())).toThrow(
      expect.objectContaining({ code: "range" }),
    );
  });
});

describe("what is free", () => {
  const device = { ioRead: () => 0, ioWrite: () => undefined, mmioRead: () => 0, mmioWrite: () => undefined };

  test("of ports: the first run that nobody owns, aligned; none if there is no such", () => {
    const bus = new PortBus();
    bus.attach(0x1004, 1, device);
    expect([bus.free(1, 0x1000), bus.free(4, 0x1001), bus.free(5, 0x1000), bus.free(8, 0x1000, 0x100f)]).toEqual([
      0x1000,
      0x1008,
      0x1008,
      null,
    ]);
    expect([bus.free(2, 0xffff), bus.free(1, 0xffff)]).toEqual([null, 0xffff]);
  });

  test("of addresses: behind what is in the way, aligned", () => {
    const bus = new MmioBus();
    bus.attach(0xd0001000, 0x800, device);
    const free = (size: number, to = 0xe0000000): number | null => bus.free(size, 0xd0000000, to);
    expect([free(0x1000), free(0x1001), free(0x2000, 0xd0003fff)]).toEqual([0xd0000000, 0xd0002000, null]);
  });
});

describe("MmioBus", () => {
  test("unmapped addresses read all ones in both halves and ignore writes", () => {
    const bus = new MmioBus();
    bus.write(0x1000, 4, 1);
    expect([bus.read(0, 1), bus.read(0, 2), bus.read(0, 4), bus.read(0, 8), bus.hi]).toEqual([
      0xff, 0xffff, 0xffffffff, 0xffffffff, 0xffffffff,
    ]);
  });

  test("a device sees offsets, and 8-byte accesses as two of 4 bytes, low half first", () => {
    const bus = new MmioBus();
    const device = new FakeMmio();
    bus.attach(0xfec00000, 0x1000, device);
    expect([bus.read(0xfec00010, 8), bus.hi]).toEqual([0x1010, 0x1014]);
    bus.write(0xfec00020, 8, 1, 2);
    bus.write(0xfec00030, 2, 7);
    expect(device.log).toEqual(["r4 16", "r4 20", "w4 32 1", "w4 36 2", "w2 48 7"]);
  });

  test("windows are found among several, above 4 GiB too, and their ends are exclusive", () => {
    const bus = new MmioBus();
    const bases = [0x3000, 0x1000, 2 ** 40, 0x2000];
    for (const base of bases) bus.attach(base, 0x1000, new FakeMmio());
    for (const base of bases) expect(bus.read(base + 4, 4)).toBe(0x1004);
    expect([bus.has(0xfff), bus.has(0x1000), bus.has(0x3fff), bus.has(0x4000)]).toEqual([false, true, true, false]);
    expect(bus.read(0x3ffe, 4)).toBe(0xffffffff);
  });

  test("windows do not overlap until they are detached", () => {
    const bus = new MmioBus();
    const detach = bus.attach(0x1000, 0x1000, new FakeMmio());
    expect(() => bus.attach(0x1fff, 1, new FakeMmio())).toThrow(expect.objectContaining({ code: "taken" }));
    expect(() => bus.attach(0, 0x1001, new FakeMmio())).toThrow(BusRangeError);
    expect(() => bus.attach(0, 0, new FakeMmio())).toThrow(BusRangeError);
    detach();
    bus.attach(0x1fff, 1, new FakeMmio());
    expect(bus.has(0x1000)).toBe(false);
  });
});
