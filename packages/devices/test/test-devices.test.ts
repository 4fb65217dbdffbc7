import { describe, expect, test } from "vitest";
import { DebugExit, debugExitStatus, PortBus, ShutdownPort, TestDevice } from "../src/index.js";
import { FakeLine } from "./fakes.js";

describe("DebugExit", () => {
  test("tells every write with its whole value; reads give zeros", () => {
    const codes: number[] = [];
    const ports = new PortBus();
    ports.attach(0xf4, 4, new DebugExit({ onExit: (code) => codes.push(code) }));
    ports.write(0xf4, 1, 0x12);
    ports.write(0xf4, 2, 0x1234);
    ports.write(0xf4, 4, 0xfedcba98);
    expect(codes).toEqual([0x12, 0x1234, 0xfedcba98]);
    expect(ports.read(0xf4, 4)).toBe(0);
  });

  test.each([
    [0, 1],
    [1, 3],
    [38, 77],
    [0xffffffff, 0xff],
    [0x80, 1],
  ])("code %i is status %i", (code, status) => expect(debugExitStatus(code)).toBe(status));
});

describe("ShutdownPort", () => {
  const spell = (text: string, port = makePort()) => {
    for (const letter of text) port.device.ioWrite(0x8900, 1, letter.charCodeAt(0));
    return port;
  };
  const makePort = () => {
    const port = { offs: 0, device: new ShutdownPort({ onShutdown: () => port.offs++ }) };
    return port;
  };

  test.each([
    ["Shutdown", 1],
    ["Shutdow", 0],
    ["Shut down", 0],
    ["xxShutShutdown", 1],
    ["SShutdown", 1],
    ["ShutdownShutdown", 2],
    ["shutdown", 0],
  ])("%j turns the machine off %i times", (text, offs) => expect(spell(text).offs).toBe(offs));

  test("save and restore carry what was spelled", () => {
    const copy = makePort();
    copy.device.restore(spell("Shut").device.save());
    expect(spell("down", copy).offs).toBe(1);
    expect(copy.device.ioRead(0x8900, 1)).toBe(0xff);
  });
});

describe("TestDevice", () => {
  const setup = () => {
    const lines = Array.from({ length: 24 }, () => new FakeLine());
    const device = new TestDevice({ lines });
    const ports = new PortBus();
    ports.attach(0xe0, 12, device);
    ports.attach(0x2000, 24, device.irqPorts);
    return { device, ports, lines };
  };

  test("the scratch register is written and read in any part, through both of its ranges", () => {
    const { ports } = setup();
    ports.write(0xe0, 4, 0x87654321);
    expect([ports.read(0xe0, 4), ports.read(0xe0, 2), ports.read(0xe2, 2), ports.read(0xe3, 1)]).toEqual([
      0x87654321, 0x4321, 0x8765, 0x87,
    ]);
    ports.write(0xe9, 1, 0xff);
    ports.write(0xe2, 2, 0x1234);
    expect([ports.read(0xe8, 4), ports.read(0xe0, 4)]).toEqual([0x1234ff21, 0x1234ff21]);
  });

  test("flush page is written to no effect and reads ones", () => {
    const { ports } = setup();
    ports.write(0xe4, 4, 0x1000);
    expect([ports.read(0xe0, 4), ports.read(0xe4, 4), ports.read(0xe4, 2), ports.read(0xe4, 1)]).toEqual([
      0, 0xffffffff, 0xffff, 0xff,
    ]);
  });

  test("port n of the interrupt ports drives line n", () => {
    const { ports, lines } = setup();
    ports.write(0x2005, 1, 1);
    ports.write(0x2017, 1, 0x80);
    expect(lines.flatMap((line, n) => (line.level ? [n] : []))).toEqual([5, 23]);
    ports.write(0x2005, 1, 0);
    expect([lines[5]?.level, lines[5]?.edges, ports.read(0x2005, 1)]).toEqual([false, 1, 0xff]);
  });

  test("its memory keeps bytes; state goes through save and restore", () => {
    const { device, ports } = setup();
    device.mmioWrite(0x1001, 4, 0xfedcba98);
    device.mmioWrite(0xffff, 1, 0x77);
    expect([device.mmioRead(0x1000, 4), device.mmioRead(0x1004, 1), device.mmioRead(0xffff, 1)]).toEqual([
      0xdcba9800, 0xfe, 0x77,
    ]);
    ports.write(0xe0, 4, 5);
    const copy = setup();
    copy.device.restore(structuredClone(device.save()));
    expect(copy.device.save()).toEqual(device.save());
    expect([copy.ports.read(0xe0, 4), copy.device.mmioRead(0x1001, 4)]).toEqual([5, 0xfedcba98]);
  });
});
