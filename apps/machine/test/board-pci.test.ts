import { type Assembler, al, ax, dx, eax, esi, mem } from "@vm/asm";
import type { VirtioDevice } from "@vm/devices";
import { describe, expect, it } from "vitest";
import { createBareMachine, createMachine, type MachineHandle, type Plugin } from "../src/index.js";
import { multiboot } from "./bare-images.js";
import { out8, runBoard } from "./run-board.js";

const PCI = { pci: true };
const HOST_BRIDGE = 0x8000_0000;
const LPC = 0x8000_f800;
const ECAM = 0xe000_0000;

// Each leaves what it read in EAX, and says so.
const read32 = (a: Assembler, port: number): typeof eax => {
  a.mov(dx, port).emit([0xed]);
  return eax;
};
const config = (a: Assembler, address: number): typeof eax => {
  write32(a, 0xcf8, address);
  return read32(a, 0xcfc);
};
const load = (a: Assembler, address: number): typeof eax => {
  a.mov(esi, address).mov(eax, mem(esi, { size: 4 }));
  return eax;
};

const write32 = (a: Assembler, port: number, value: number): Assembler => a.mov(dx, port).mov(eax, value).out(dx, eax);
const setConfig = (a: Assembler, address: number, value: number): Assembler =>
  write32(write32(a, 0xcf8, address), 0xcfc, value);

/** Runs `write` until the machine ends. */
const ends = async (write: (a: Assembler) => void) => {
  const image = multiboot((a) => {
    write(a);
    a.cli().hlt();
  });
  return (await createBareMachine({ image, memory: 16 << 20, clock: "icount", ...PCI })).run();
};

const idle = (): VirtioDevice<null> => ({
  ...{ deviceId: 4, features: 0, queueSizes: [8], config: new Uint8Array(0) },
  ...{ connect: () => undefined, work: () => false, reset: () => undefined },
  ...{ save: () => null, restore: () => undefined },
});

describe("a machine with PCI", () => {
  it("has a Q35's bridges, through ports and in memory, at every width", async () => {
    const { results } = await runBoard((a, keep) => {
      for (const address of [HOST_BRIDGE, LPC, LPC + 0x100, HOST_BRIDGE + 0x800]) keep(config(a, address));
      for (const address of [ECAM, ECAM + 0xf8000, ECAM + 0x10_0000]) keep(load(a, address));
      a.mov(esi, ECAM + 2)
        .mov(eax, 0)
        .mov(ax, mem(esi, { size: 2 }));
      keep(eax);
    }, PCI);
    expect(results).toEqual([
      ...[0x29c0_8086, 0x2918_8086, 0xffff_ffff, 0xffff_ffff],
      ...[0x29c0_8086, 0x2918_8086, 0xffff_ffff, 0x29c0],
    ]);
  });

  it("moves configuration space in memory where PCIEXBAR says, if nothing else is there", async () => {
    const { results } = await runBoard((a, keep) => {
      // Half of it at 0xd0000000; RAM; the I/O APIC.
      for (const base of [0xd000_0003, 0x0000_0001, 0xfc00_0005]) {
        setConfig(a, HOST_BRIDGE + 0x60, base);
        for (const address of [ECAM, 0xd000_0000, 0xfc00_0000]) keep(load(a, address));
      }
      a.mov(esi, 0xfec0_0000)
        .mov(eax, 1)
        .mov(mem(esi, { size: 4 }), eax);
      keep(load(a, 0xfec0_0010));
    }, PCI);
    const ones = 0xffff_ffff;
    expect(results).toEqual([ones, 0x29c0_8086, ones, ones, ones, ones, ones, ones, ones, 0x17_0020]);
  });

  it("has the power management block where PMBASE says, if nothing else is there", async () => {
    const { results } = await runBoard((a, keep) => {
      a.mov(dx, 0x602).mov(eax, 0x20).out(dx, ax);
      keep(read32(a, 0x600));
      setConfig(a, LPC + 0x40, 0x1000);
      for (const port of [0x600, 0x1000]) keep(read32(a, port));
      // COM1 and the interrupt controllers stay.
      for (const base of [0x380, 0x000]) {
        setConfig(a, LPC + 0x40, base);
        out8(a, 0x3ff, 0x5a);
        a.mov(dx, 0x3ff).mov(eax, 0).in(al, dx);
        keep(eax);
        keep(read32(a, 0x1000));
      }
    }, PCI);
    const ones = 0xffff_ffff;
    expect(results).toEqual([0x20_0000, ones, 0x20_0000, 0x5a, ones, 0x5a, ones]);
  });

  it("has no registers of a hardware-reduced machine, nor fixed hardware of machines without PCI", async () => {
    const { results } = await runBoard((a, keep) => {
      keep(read32(a, 0x640));
      setConfig(a, LPC + 0x44, 0);
      for (const port of [0x600, 0x640]) keep(read32(a, port));
    }, PCI);
    // Within the block there is nothing at offset 0x40.
    expect(results).toEqual([0, 0xffff_ffff, 0xffff_ffff]);
  });

  it("is reset through port 0xcf9 and powered off through PM1_CNT, as OVMF does it", async () => {
    expect(await ends((a) => out8(a, 0xcf9, 0x06))).toEqual({ reason: "reset" });
    expect(await ends((a) => a.mov(dx, 0x604).mov(eax, 0x2000).out(dx, ax))).toEqual({
      ...{ reason: "power-off", status: null },
    });
  });

  it("runs the built-in guest, which powers it off", async () => {
    const machine = await createMachine({ ...PCI, memory: 16 << 20, commandLine: 'exec="poweroff"' });
    expect(await machine.run()).toMatchObject({ reason: "power-off" });
    const again = await createMachine({ ...PCI, memory: 16 << 20, commandLine: 'exec="reboot"' });
    expect(await again.run()).toEqual({ reason: "reset" });
  });

  it("has the virtio devices of plugins on the bus, until no interrupt is left; other devices stay clear of it", async () => {
    let handle: MachineHandle | undefined;
    const slots: unknown[] = [];
    const plugin: Plugin = {
      name: "devices",
      install: (machine) => {
        handle = machine;
        for (let k = 0; k < 8; k++) slots.push(machine.devices.attachVirtio(idle()));
        expect(() => machine.devices.attachVirtio(idle())).toThrow(expect.objectContaining({ code: "exhausted" }));
      },
    };
    const { results } = await runBoard(
      (a, keep) => {
        for (const device of [1, 8, 9]) keep(config(a, HOST_BRIDGE + device * 0x800));
        // Bar 0 of device 8: where there is RAM, then where there is none.
        const last = HOST_BRIDGE + 8 * 0x800;
        setConfig(a, last + 4, 2);
        for (const base of [0x0080_0000, 0x8000_0000]) {
          setConfig(a, last + 0x10, base);
          keep(load(a, base + 0x12));
        }
      },
      { ...PCI, legacyDevices: false, plugins: [plugin] },
    );
    expect([slots[0], slots[7]]).toEqual([
      { pciDevice: 1, gsi: 16 },
      { pciDevice: 8, gsi: 23 },
    ]);
    // One queue, and a status of 0.
    expect(results).toEqual([0x1044_1af4, 0x1044_1af4, 0xffff_ffff, 0, 1]);
    expect(handle?.devices.freeAddresses(4096)).toBe(0xf000_0000);
  });
});
