import fc from "fast-check";
import { expect, test } from "vitest";
import {
  Ich9Lpc,
  Ich9Pm,
  MmioBus,
  type MmioSize,
  PciHost,
  type PciRange,
  PortBus,
  type PortSize,
  Q35Mch,
  VirtioBlk,
  VirtioConsole,
  VirtioPci,
} from "../src/index.js";
import { FakeClock, FakeLine, FakeMemory, FakeTurns } from "./fakes.js";
import { PCI_WINDOW, pciMemory } from "./virtio-pci-driver.js";

/** A board with both bridges and two devices, wired the way a machine does it: what cannot be had is not decoded. */
function board() {
  const [ports, mmio, memory, turns, clock] = [
    new PortBus(),
    new MmioBus(),
    new FakeMemory(1 << 16),
    new FakeTurns(),
    new FakeClock(),
  ];
  const host = new PciHost({ onReset: () => undefined });
  const decode = pciMemory(mmio);
  ports.attach(0xcf8, 8, host);
  const ecam = decode.window(host);
  const onEcam = (range: PciRange | null): void => ecam.move(range);
  const pm = new Ich9Pm({ clock, onPowerOff: () => undefined });
  let undoPm: (() => void) | null = null;
  const onPmBase = (base: number | null): void => {
    undoPm?.();
    undoPm = base !== null && ports.free(128, base, base + 128) === base ? ports.attach(base, 128, pm) : null;
  };
  const backend = {
    sectors: 16,
    readonly: false,
    read: () => undefined,
    write: () => undefined,
    flush: () => undefined,
  };
  const shared = { memory, turns, decode, sendMsi: () => undefined };
  const functions = [
    new Q35Mch({ ecamBase: 0xe000_0000, onEcam }),
    new VirtioPci({ ...shared, device: new VirtioBlk({ backend }), irq: new FakeLine() }),
    new VirtioPci({ ...shared, device: new VirtioConsole({ onTransmit: () => undefined }), irq: new FakeLine() }),
    new Ich9Lpc({ pmBase: 0x600, onPmBase }),
  ];
  [0, 1, 2, 31].forEach((device, k) => {
    host.attach({ device, function: 0 }, functions[k] as (typeof functions)[number]);
  });
  return { ports, mmio, turns, host, functions };
}

const size = fc.constantFrom<PortSize & MmioSize>(1, 2, 4);
/** Values that mean something to base address registers, PCIEXBAR and PMBASE, and any other. */
const value = fc.oneof(
  fc.constantFrom(
    0,
    1,
    2,
    6,
    0x80,
    0x600,
    0xc80,
    0x8000,
    0xffff_ffff,
    0xc000_0000,
    0xc000_4000,
    0xe000_0001,
    0xf000_0000,
  ),
  fc.nat(0xffff_ffff),
);
const config = fc.record({
  kind: fc.constant("config" as const),
  device: fc.constantFrom(0, 1, 2, 3, 31),
  offset: fc.oneof(fc.constantFrom(0x04, 0x10, 0x14, 0x40, 0x42, 0x44, 0x60, 0x64), fc.nat(0xff)),
  ...{ size, value, write: fc.boolean() },
});
const memory = fc.record({
  kind: fc.constant("memory" as const),
  gpa: fc.oneof(
    fc.nat(0xffff).map((offset) => 0xc000_0000 + offset),
    fc.nat(0xffff).map((offset) => 0xe000_8000 + offset),
    fc.nat(0xffff_ffff),
  ),
  ...{ size, value, write: fc.boolean() },
});

test("whatever a guest does to configuration space and bars: nothing throws, state stays as large and can be restored, windows stay where the bus is", () => {
  const check = fc.property(fc.array(fc.oneof(config, memory), { minLength: 50, maxLength: 400 }), (accesses) => {
    const { ports, mmio, turns, host, functions } = board();
    // Numbers take more or fewer digits; what counts is how many there are.
    const shape = (): string =>
      JSON.stringify(functions.map((own) => own.save())).replace(/-?[\d.e+]+|true|false/g, "0");
    const before = shape();
    for (const access of accesses) {
      if (access.kind === "config") {
        ports.write(0xcf8, 4, 0x8000_0000 + access.device * 0x800 + (access.offset & 0xfc));
        const port = 0xcfc + (access.offset & 3);
        if (access.write) ports.write(port, access.size, access.value);
        else ports.read(port, access.size);
      } else if (access.write) mmio.write(access.gpa, access.size, access.value);
      else mmio.read(access.gpa, access.size);
      turns.turn();
    }
    expect(shape()).toBe(before);
    for (const gpa of [0, PCI_WINDOW[0] - 1, PCI_WINDOW[1], 2 ** 32]) expect(mmio.has(gpa)).toBe(false);
    const copy = board();
    copy.host.restore(host.save());
    copy.functions.forEach((own, k) => {
      own.restore(structuredClone(functions[k]?.save()) as never);
    });
    expect(copy.functions.map((own) => own.save())).toEqual(functions.map((own) => own.save()));
    for (const access of accesses) {
      if (access.kind === "memory") expect(copy.mmio.has(access.gpa)).toBe(mmio.has(access.gpa));
      else expect(copy.ports.read(access.value & 0xffff, 1)).toBe(ports.read(access.value & 0xffff, 1));
    }
  });
  fc.assert(check, { numRuns: 300 });
});
