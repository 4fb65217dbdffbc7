import { describe, expect, test, vi } from "vitest";
import {
  type ApicMessage,
  BusRangeError,
  decodeMsi,
  Ich9Lpc,
  Ich9Pm,
  MmioBus,
  PciHost,
  type PciRange,
  PciWindows,
  PortBus,
  Q35Mch,
} from "../src/index.js";
import { FakeClock } from "./fakes.js";

/** A function whose configuration space is the offsets of its bytes, and what was written to it. */
class Recorder {
  readonly writes: (readonly [number, number, number])[] = [];

  configRead(offset: number, size: number): number {
    return Array.from({ length: size }, (_, k) => ((offset + k) & 0xff) * 2 ** (8 * k)).reduce(
      (sum, part) => sum + part,
    );
  }

  configWrite(offset: number, size: number, value: number): void {
    this.writes.push([offset, size, value]);
  }
}

function bus() {
  const onReset = vi.fn();
  const host = new PciHost({ onReset });
  const ports = new PortBus();
  ports.attach(0xcf8, 8, host);
  const recorder = new Recorder();
  host.attach({ device: 3, function: 1 }, recorder);
  const mmio = new MmioBus();
  mmio.attach(0xe000_0000, 2 ** 28, host);
  return { host, ports, mmio, recorder, onReset };
}

const AT = 0x8000_0000 + 3 * 0x800 + 0x100;

describe("configuration mechanism #1 (PCI 3.0, 3.2.2.3.2)", () => {
  test("CONFIG_ADDRESS takes double words alone, and keeps its defined bits", () => {
    const { ports } = bus();
    ports.write(0xcf8, 4, 0xffff_ffff);
    expect(ports.read(0xcf8, 4)).toBe(0x80ff_fffc);
    ports.write(0xcf8, 2, 0);
    ports.write(0xcfb, 1, 1);
    expect([ports.read(0xcf8, 4), ports.read(0xcf8, 2), ports.read(0xcfb, 1)]).toEqual([0x80ff_fffc, 0xffff, 0xff]);
  });

  test("CONFIG_DATA reaches the bytes of the register at any width", () => {
    const { ports, recorder } = bus();
    ports.write(0xcf8, 4, AT + 0x40);
    const reads = [ports.read(0xcfc, 4), ports.read(0xcfe, 2), ports.read(0xcfd, 1), ports.read(0xcfd, 2)];
    expect(reads).toEqual([0x43424140, 0x4342, 0x41, 0x4241]);
    ports.write(0xcfe, 2, 0x1234);
    ports.write(0xcfc, 4, 0x89abcdef);
    expect(recorder.writes).toEqual([
      [0x42, 2, 0x1234],
      [0x40, 4, 0x89abcdef],
    ]);
  });

  test("an access that leaves the register is done by bytes, those behind it by nobody", () => {
    const { ports, recorder } = bus();
    ports.write(0xcf8, 4, AT);
    expect(ports.read(0xcfe, 4)).toBe(0xffff_0302);
    ports.write(0xcff, 2, 0x1234);
    expect(recorder.writes).toEqual([[3, 1, 0x34]]);
    expect(ports.read(0xcfa, 4)).toBe(0xffff_ffff);
  });

  test("reads all ones from functions and buses that are not there, and while bit 31 is 0", () => {
    const { ports, recorder } = bus();
    for (const address of [AT - 0x100, AT + 0x10000, AT - 0x8000_0000]) {
      ports.write(0xcf8, 4, address);
      ports.write(0xcfc, 4, 0);
      expect([ports.read(0xcfc, 4), ports.read(0xcfc, 2), ports.read(0xcfc, 1)]).toEqual([0xffff_ffff, 0xffff, 0xff]);
    }
    expect(recorder.writes).toEqual([]);
  });
});

describe("memory-mapped configuration space (PCI Express 5.0, 7.2.2)", () => {
  test("has 4 KiB for each function of each bus", () => {
    const { mmio, recorder } = bus();
    const base = 0xe000_0000 + 25 * 4096;
    expect([mmio.read(base + 0x104, 4), mmio.read(base + 0xfff, 1), mmio.read(base + 0x100_0000, 2)]).toEqual([
      0x07060504, 0xff, 0xffff,
    ]);
    mmio.write(base + 0x104, 8, 1, 2);
    expect(recorder.writes).toEqual([
      [0x104, 4, 1],
      [0x108, 4, 2],
    ]);
  });

  test("splits an access across a multiple of 4, also between functions", () => {
    const { mmio, recorder } = bus();
    const base = 0xe000_0000 + 25 * 4096;
    expect([mmio.read(base + 2, 4), mmio.read(base - 2, 4)]).toEqual([0x05040302, 0x0100_ffff]);
    mmio.write(base + 0xffe, 4, 0x44332211);
    expect(recorder.writes).toEqual([
      [0xffe, 1, 0x11],
      [0xfff, 1, 0x22],
    ]);
  });
});

test("the reset control register resets the machine by RST_CPU, and keeps SYS_RST (ICH9, 13.7.5)", () => {
  const { ports, onReset } = bus();
  ports.write(0xcf9, 1, 0x02);
  expect([ports.read(0xcf9, 1), onReset.mock.calls.length]).toEqual([2, 0]);
  ports.write(0xcf9, 1, 0x06);
  expect(onReset).toHaveBeenCalledOnce();
});

test("save and restore carry the address", () => {
  const { host, ports } = bus();
  ports.write(0xcf8, 4, AT);
  ports.write(0xcf9, 1, 2);
  const copy = bus();
  copy.host.restore(structuredClone(host.save()));
  expect([copy.ports.read(0xcf8, 4), copy.ports.read(0xcf9, 1), copy.ports.read(0xcfd, 1)]).toEqual([AT, 2, 1]);
});

test("a place that does not exist, or has a function, is refused", () => {
  const { host } = bus();
  for (const [device, pciFunction, code] of [
    [32, 0, "range"],
    [0, 8, "range"],
    [-1, 0, "range"],
    [0.5, 0, "range"],
    [3, 1, "taken"],
  ] as const)
    expect(() => host.attach({ device, function: pciFunction }, new Recorder())).toThrow(
      expect.objectContaining({ name: BusRangeError.name, code }),
    );
});

describe("the host bridge of a Q35", () => {
  const mch = (ecamBase?: number) => {
    const windows: (PciRange | null)[] = [];
    const own = ecamBase === undefined ? {} : { ecamBase };
    return { windows, bridge: new Q35Mch({ ...own, onEcam: (window) => windows.push(window) }) };
  };

  test("is 8086:29c0, a host bridge", () => {
    const { bridge } = mch();
    expect([bridge.configRead(0, 4), bridge.configRead(8, 4)]).toEqual([0x29c0_8086, 0x0600_0000]);
    bridge.configWrite(0, 4, 0);
    expect(bridge.configRead(2, 2)).toBe(0x29c0);
  });

  test("has configuration space mapped as firmware leaves it, or not", () => {
    expect(mch(0xe000_0000).windows).toEqual([{ base: 0xe000_0000, size: 2 ** 28 }]);
    expect(mch(0xe000_0000).bridge.configRead(0x60, 4)).toBe(0xe000_0001);
    expect(mch(0xc_e000_0000).windows).toEqual([{ base: 0xc_e000_0000, size: 2 ** 28 }]);
    expect(mch().windows).toEqual([null]);
  });

  test("PCIEXBAR moves the window: the way OVMF writes it, at every length", () => {
    const { bridge, windows } = mch();
    bridge.configWrite(0x60, 4, 0);
    bridge.configWrite(0x64, 4, 0);
    bridge.configWrite(0x60, 4, 0xe000_0001);
    bridge.configWrite(0x60, 4, 0xe800_0003);
    bridge.configWrite(0x60, 4, 0xec00_0005);
    bridge.configWrite(0x60, 4, 0xec00_0007);
    bridge.configWrite(0x64, 4, 0xffff_ffff);
    bridge.configWrite(0x60, 1, 0x01);
    expect(windows).toEqual([
      null,
      { base: 0xe000_0000, size: 2 ** 28 },
      { base: 0xe800_0000, size: 2 ** 27 },
      { base: 0xec00_0000, size: 2 ** 26 },
      null,
      { base: 0xf_e000_0000, size: 2 ** 28 },
    ]);
  });

  test("save and restore carry the window", () => {
    const copy = mch();
    copy.bridge.restore(structuredClone(mch(0xe000_0000).bridge.save()));
    expect([copy.windows.at(-1)?.base, copy.bridge.configRead(0x60, 4)]).toEqual([0xe000_0000, 0xe000_0001]);
  });

  test("a conventional function answers in 256 bytes; beyond them there are ones", () => {
    const { bridge } = mch();
    bridge.configWrite(0x100, 4, 0);
    expect([bridge.configRead(0xfc, 4), bridge.configRead(0x100, 4)]).toEqual([0, 0xffff_ffff]);
  });
});

describe("the LPC bridge of an ICH9", () => {
  const lpc = (pmBase?: number) => {
    const bases: (number | null)[] = [];
    const own = pmBase === undefined ? {} : { pmBase };
    return { bases, bridge: new Ich9Lpc({ ...own, onPmBase: (base) => bases.push(base) }) };
  };

  test("is 8086:2918, an ISA bridge beside which there may be functions", () => {
    const { bridge } = lpc();
    expect([bridge.configRead(0, 4), bridge.configRead(8, 4) >>> 8, bridge.configRead(0x0e, 1)]).toEqual([
      0x2918_8086, 0x06_0100, 0x80,
    ]);
  });

  test("PMBASE and ACPI_EN move the power management block: the way OVMF writes them", () => {
    const { bridge, bases } = lpc();
    expect([bridge.configRead(0x40, 4), bridge.configRead(0x44, 1)]).toEqual([1, 0]);
    bridge.configWrite(0x40, 4, (bridge.configRead(0x40, 4) & ~0xff80) | 0x600);
    bridge.configWrite(0x44, 1, bridge.configRead(0x44, 1) | 0x80);
    expect(bridge.configRead(0x40, 4) & ~1).toBe(0x600);
    bridge.configWrite(0x40, 4, 0xffff_ffff);
    bridge.configWrite(0x44, 1, 0);
    expect(bases).toEqual([null, 0x600, 0xff80, null]);
  });

  test("has the block where firmware leaves it", () => {
    const { bridge, bases } = lpc(0x600);
    expect([bases, bridge.configRead(0x40, 4), bridge.configRead(0x44, 1)]).toEqual([[0x600], 0x601, 0x80]);
    const copy = lpc();
    copy.bridge.restore(structuredClone(bridge.save()));
    expect(copy.bases).toEqual([null, 0x600]);
  });

  test("PIRQ routes are none at first and keep what is written; RCBA too", () => {
    const { bridge } = lpc();
    expect([bridge.configRead(0x60, 4), bridge.configRead(0x68, 4)]).toEqual([0x8080_8080, 0x8080_8080]);
    bridge.configWrite(0x60, 1, 0x0a);
    bridge.configWrite(0x6b, 1, 0xff);
    bridge.configWrite(0xf0, 4, 0xfed1_c001);
    expect([bridge.configRead(0x60, 1), bridge.configRead(0x6b, 1), bridge.configRead(0xf0, 4)]).toEqual([
      0x0a, 0x8f, 0xfed1_c001,
    ]);
  });
});

describe("the power management block of an ICH9", () => {
  const block = () => {
    const [clock, onPowerOff] = [new FakeClock(), vi.fn()];
    return { clock, onPowerOff, pm: new Ich9Pm({ clock, onPowerOff }) };
  };

  test("counts 3.579545 MHz in 32 bits at offset 8, wherever it lies", () => {
    const { pm, clock } = block();
    clock.passTo(1e9);
    expect([pm.ioRead(0x608, 4), pm.ioRead(0xb008, 4), pm.ioRead(0x609, 1)]).toEqual([3579545, 3579545, 0x9e]);
  });

  test("powers off by SLP_EN with type 0, the way OVMF writes it", () => {
    const { pm, onPowerOff } = block();
    pm.ioWrite(0x604, 2, pm.ioRead(0x604, 2) & ~0x3c00);
    pm.ioWrite(0x604, 2, 0x3400);
    expect(onPowerOff).not.toHaveBeenCalled();
    pm.ioWrite(0x604, 2, pm.ioRead(0x604, 2) & ~0x3c00);
    pm.ioWrite(0x604, 2, pm.ioRead(0x604, 2) | 0x2000);
    expect(onPowerOff).toHaveBeenCalledOnce();
  });

  test("has no general-purpose events, SMI or TCO: their registers read 0", () => {
    const { pm } = block();
    for (const offset of [0x0a, 0x20, 0x28, 0x30, 0x60]) {
      pm.ioWrite(0x600 + offset, 4, 0xffff_ffff);
      expect(pm.ioRead(0x600 + offset, 4)).toBe(0);
    }
  });

  test("save and restore carry the enables", () => {
    const [one, other] = [block().pm, block().pm];
    one.ioWrite(0x602, 2, 0x0120);
    other.restore(structuredClone(one.save()));
    expect(other.ioRead(0x602, 2)).toBe(0x0120);
  });
});

describe("windows into memory", () => {
  const filled = (byte: number) => ({ mmioRead: () => byte, mmioWrite: () => undefined });
  const KIB = 1024;

  function windows() {
    const mmio = new MmioBus();
    const memory = new PciWindows({ mmio, allowed: ({ base }) => base >= 0x1_0000 });
    const [first, second] = [memory.window(filled(1)), memory.window(filled(2))];
    return { mmio, first, second, at: (...places: number[]) => places.map((gpa) => mmio.read(gpa, 1)) };
  }

  test("of two that overlap the first decodes, whoever came first; the other does when it has gone", () => {
    const { first, second, at } = windows();
    second.move({ base: 0x2_0000, size: 16 * KIB });
    expect(at(0x2_0000)).toEqual([2]);
    first.move({ base: 0x2_1000, size: 4 * KIB });
    expect(at(0x2_0000, 0x2_1000)).toEqual([0xff, 1]);
    first.move({ base: 0x3_0000, size: 4 * KIB });
    expect(at(0x2_0000, 0x2_1000, 0x3_0000)).toEqual([2, 2, 1]);
    second.move(null);
    expect(at(0x2_0000)).toEqual([0xff]);
  });

  test("none decodes what another device has, or where the bus is not", () => {
    const { mmio, first, second, at } = windows();
    mmio.attach(0x2_2000, 4 * KIB, filled(9));
    first.move({ base: 0x2_0000, size: 16 * KIB });
    second.move({ base: 0x8000, size: 4 * KIB });
    expect(at(0x2_0000, 0x2_2000, 0x8000)).toEqual([0xff, 9, 0xff]);
  });
});

describe("messages (SDM 3A 11.11)", () => {
  const message = (addressLow: number, data: number, addressHigh = 0): ApicMessage | null =>
    decodeMsi({ addressLow, addressHigh, data });

  test("name a destination, its mode, a delivery mode, a vector and a trigger mode", () => {
    const fixed = { destination: 5, logical: false, mode: 0, vector: 0x31, level: false };
    expect(message(0xfee0_5000, 0x31)).toEqual(fixed);
    expect(message(0xfee0_500c, 0x4131)).toEqual({ ...fixed, logical: true, mode: 1 });
    expect(message(0xfeef_f000, 0xc431)).toEqual({ ...fixed, destination: 0xffff_ffff, mode: 4, level: true });
  });

  test("to other addresses are none, nor is a start-up IPI", () => {
    expect([message(0xfed0_0000, 0x31), message(0xfee0_0000, 0x31, 1), message(0xfee0_0000, 0x631)]).toEqual([
      null,
      null,
      null,
    ]);
  });
});
