import { describe, expect, it } from "vitest";
import { kvmRegs, kvmSregs } from "../src/codec/wire.js";
import { type EventFilter, parseFilter } from "../src/index.js";
import { bytes, le, RawTool } from "./raw-tool.js";

/** A tool that watches CR3 and breakpoints of a vCPU at RIP 0x8000 with CR3 0x5018. */
async function watching(filter: EventFilter): Promise<RawTool> {
  const tool = await RawTool.hooked("libkvmi", { filter });
  const { cpu } = tool.vm;
  cpu.regs.set(le(8, 0x8000), kvmRegs.offset("rip"));
  cpu.sregs.set(le(8, 0x5018), kvmSregs.offset("cr3"));
  await tool.enable("cr");
  await tool.enable("breakpoint");
  await tool.enable("pf");
  await tool.vcpuErr("controlCr", bytes([1, 0, 0, 0], le(4, 3)));
  return tool;
}

describe("a filter", () => {
  it.each<[EventFilter, boolean]>([
    [{}, true],
    [{ cr3: 0x5000n }, true],
    [{ cr3: 0x6000n }, false],
    [{ rip: { from: 0x8000n, to: 0x8000n } }, true],
    [{ rip: { from: 0x8001n, to: 0x9000n } }, false],
    [{ rip: { from: 0x7000n, to: 0x7fffn } }, false],
    [{ value: { mask: 0xf000n, equals: 0x2000n } }, true],
    [{ value: { mask: 0xf000n, equals: 0x3000n } }, false],
    [{ cr3: 0x5000n, rip: { from: 0n, to: 1n } }, false],
    [{ cr3: 0x6000n, events: ["breakpoint"] }, true],
  ])("%o lets a CR3 event through: %s", async (filter, through) => {
    const tool = await watching(filter);
    expect(tool.vm.cpu.events?.cr(3, 0x1000n, 0x2000n, () => undefined)).toBe(through);
    expect(tool.vm.cpu.held).toBe(through);
  });

  it("on values leaves events without a value alone; page faults are judged by their address", async () => {
    const tool = await watching({ value: { mask: 0xffn, equals: 0x12n } });
    expect(tool.vm.cpu.events?.pageFault(0x11n, 0, 1, () => undefined)).toBe(false);
    expect(tool.vm.cpu.events?.breakpoint(0, 1, () => undefined)).toBe(true);
  });

  it("never leaves out what the tool itself asked for", async () => {
    const tool = await watching({ cr3: 0n });
    tool.send(tool.id("pause"), new Uint8Array(16));
    expect((await tool.reply()).err).toBe(0);
    expect((await tool.receive())?.payload[4]).toBe(tool.eventId("pause"));
  });

  it("can be changed while a tool is there", async () => {
    const tool = await watching({ cr3: 0n });
    expect(tool.server.filter).toEqual({ cr3: 0n });
    tool.server.filter = null;
    expect(tool.vm.cpu.events?.breakpoint(0, 1, () => undefined)).toBe(true);
  });
});

describe("a filter as text", () => {
  it("has conditions in any order", () => {
    expect(parseFilter("rip=0x10-0x20,cr3=4096,value=0xff:1,events=cr+msr")).toEqual({
      cr3: 4096n,
      rip: { from: 0x10n, to: 0x20n },
      value: { mask: 0xffn, equals: 1n },
      events: ["cr", "msr"],
    });
    expect(parseFilter("rip=5")).toEqual({ rip: { from: 5n, to: 5n } });
  });

  it.each([
    ["cr4=1", '"cr4=1" is no condition: cr3=, rip=FROM-TO, value=MASK:VALUE or events=A+B'],
    ["cr3=x", '"x" in "cr3=x" is no number'],
    ["events=pause", '"pause" is none of the events cr msr xsetbv breakpoint hypercall pf descriptor cpuid'],
  ])("%s is refused", (text, message) => {
    expect(() => parseFilter(text)).toThrow(new RangeError(message));
  });
});
