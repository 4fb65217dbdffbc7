import { describe, expect, test } from "vitest";
import { FW_CFG_DMA_PORTS, FW_CFG_PORTS, FwCfg, FwCfgError, FwCfgItem, PortBus } from "../src/index.js";
import { FakeMemory, FakeTurns } from "./fakes.js";

const BASE = 0x510;

describe("FwCfg", () => {
  const setup = (ram = 0x1_8000_1000, processors = 300) => {
    const device = new FwCfg({ basePort: BASE, ram, processors });
    const ports = new PortBus();
    ports.attach(BASE, FW_CFG_PORTS, device);
    const item = (selector: number, size: number) => {
      ports.write(BASE, 2, selector);
      return Array.from({ length: size }, () => ports.read(BASE + 1, 1));
    };
    return { device, ports, item };
  };

  test.each([
    ["signature", 0, [0x51, 0x45, 0x4d, 0x55, 0]],
    ["features: no DMA", 1, [1, 0, 0, 0, 0]],
    ["RAM size", 3, [0, 0x10, 0, 0x80, 1, 0, 0, 0, 0]],
    ["processors", 5, [44, 1, 0]],
    ["most processors", 15, [44, 1, 0]],
    ["RAM limit", 0x11, [0, 0, 0, 0, 0, 0, 0, 0, 0]],
    ["directory of no files", 0x19, [0, 0, 0, 0, 0]],
    ["an item that is not there", 0x18, [0, 0]],
    ["a file that is not there", 0x20, [0, 0]],
  ])("%s", (_, selector, bytes) => expect(setup().item(selector, bytes.length)).toEqual(bytes));

  test("selecting starts over; other widths and directions do nothing", () => {
    const { ports, item } = setup();
    expect([item(0, 2), item(0, 2)]).toEqual([
      [0x51, 0x45],
      [0x51, 0x45],
    ]);
    ports.write(BASE, 1, 5);
    ports.write(BASE + 1, 1, 5);
    expect(ports.read(BASE + 1, 1)).toBe(0x4d);
    expect([ports.read(BASE, 1), ports.read(BASE, 2)]).toEqual([0xff, 0xffff]);
  });

  test("an item that is set is read, also in place of one that was there", () => {
    const { device, item } = setup();
    device.set(FwCfgItem.KernelData, Uint8Array.of(7, 8, 9));
    device.setSize(FwCfgItem.KernelSize, 0x1234_5678);
    expect(item(FwCfgItem.KernelData, 4)).toEqual([7, 8, 9, 0]);
    expect(item(FwCfgItem.KernelSize, 5)).toEqual([0x78, 0x56, 0x34, 0x12, 0]);
  });

  test("save and restore carry selector and position", () => {
    const { device, item } = setup();
    item(0, 1);
    const copy = setup();
    copy.device.restore(structuredClone(device.save()));
    expect(copy.ports.read(BASE + 1, 1)).toBe(0x45);
  });

  test("with DMA, features say so, and the register reads QEMU CFG in any part", () => {
    const dma = { memory: new FakeMemory(0), turns: new FakeTurns() };
    const device = new FwCfg({ basePort: BASE, ram: 0, processors: 1, dma });
    const ports = new PortBus();
    ports.attach(BASE, FW_CFG_DMA_PORTS, device);
    ports.write(BASE, 2, FwCfgItem.Id);
    expect(ports.read(BASE + 1, 1)).toBe(3);
    const text = Array.from({ length: 8 }, (_, k) => ports.read(BASE + 4 + k, 1));
    expect(String.fromCharCode(...text)).toBe("QEMU CFG");
    expect([ports.read(BASE + 4, 4), ports.read(BASE + 8, 4), ports.read(BASE + 9, 2)]).toEqual([
      0x554d4551, 0x47464320, 0x4643,
    ]);
  });

  describe("files", () => {
    const NAME = "etc/acpi/tables";

    test("the directory is a count and an entry a file: size and selector big-endian, two zeros, a name of 56 bytes", () => {
      const { device, item } = setup();
      device.addFile(NAME, new Uint8Array(0x12345));
      device.addFile("b", Uint8Array.of(9));
      const directory = Uint8Array.from(item(FwCfgItem.FileDirectory, 4 + 2 * 64 + 1));
      const view = new DataView(directory.buffer);
      expect(view.getUint32(0)).toBe(2);
      expect([4, 68].map((at) => [view.getUint32(at), view.getUint16(at + 4), view.getUint16(at + 6)])).toEqual([
        [0x12345, 0x20, 0],
        [1, 0x21, 0],
      ]);
      const name = (at: number) => String.fromCharCode(...directory.subarray(at, at + 56));
      expect([name(12), name(76)]).toEqual([NAME.padEnd(56, "\0"), "b".padEnd(56, "\0")]);
      expect([item(0x20, 1), item(0x21, 2)]).toEqual([[0], [9, 0]]);
    });

    test.each([
      ["taken", NAME],
      ["empty", ""],
      ["of 56 characters", "x".repeat(56)],
      ["with a space", "a b"],
      ["not ASCII", "ä"],
      ["with a zero", "a\0"],
    ])("a name that is %s is refused, and nothing changes", (_, name) => {
      const { device, item } = setup();
      device.addFile(NAME, Uint8Array.of(1));
      const add = () => device.addFile(name, Uint8Array.of(2));
      expect(add).toThrow(FwCfgError);
      expect(add).toThrow(expect.objectContaining({ code: "name" }));
      expect(item(FwCfgItem.FileDirectory, 4)).toEqual([0, 0, 0, 1]);
      expect(item(0x20, 2)).toEqual([1, 0]);
    });

    test("a name of 55 characters is the longest", () => {
      const { device, item } = setup();
      device.addFile("x".repeat(55), Uint8Array.of(1));
      expect(item(FwCfgItem.FileDirectory, 68).slice(12)).toEqual([...new Array(55).fill(0x78), 0]);
    });
  });
});
