import { describe, expect, it } from "vitest";
import { eventArch, kvmRegs } from "../src/codec/wire.js";
import type { Message } from "../src/framing.js";
import { DIALECTS, type DialectName, type EventName, type PageVerdict } from "../src/index.js";
import { FakeVm } from "./fakes.js";
import { bytes, le, RawTool, settled } from "./raw-tool.js";

const all = Object.keys(DIALECTS) as DialectName[];
const zeros = (n: number): Uint8Array => new Uint8Array(n);
const got = async (tool: RawTool): Promise<Message> => {
  const message = await tool.receive();
  if (message === null) throw new Error(`closed: ${tool.log.join("; ")}`);
  return message;
};

/** Bytes before the common part, and the event's id there. */
const place = (dialect: DialectName, message: Message): { at: number; id: number } =>
  dialect === "v12" ? { at: 8, id: message.view.getUint16(0, true) } : { at: 0, id: message.view.getUint8(4) };

/** The specific part of an event. */
const specific = (dialect: DialectName, message: Message): Uint8Array =>
  message.payload.subarray(place(dialect, message).at + 544);

/** A tool that has enabled an event of vCPU 0. */
async function watching(dialect: DialectName, event: EventName): Promise<RawTool> {
  const tool = await RawTool.hooked(dialect);
  await tool.enable(event);
  if (event === "cr")
    await tool.vcpuErr("controlCr", dialect === "v12" ? bytes([3, 1], zeros(6)) : bytes([1, 0, 0, 0], le(4, 3)));
  if (event === "msr") await tool.vcpuErr("controlMsr", bytes([1, 0, 0, 0], le(4, 0x140)));
  return tool;
}

describe.each(all)("events (%s)", (dialect) => {
  it("carry the state of the vCPU in 544 bytes", async () => {
    const tool = await watching(dialect, "hypercall");
    const { cpu } = tool.vm;
    cpu.regs.fill(0x22);
    cpu.sregs.fill(0x33);
    expect(cpu.events?.hypercall(() => undefined)).toBe(true);
    const message = await got(tool);
    const { at, id } = place(dialect, message);
    expect([message.id, message.seq, message.size]).toEqual([1, 1, at + 544]);
    expect(id).toBe(tool.eventId("hypercall"));
    expect([message.view.getUint16(at, true), message.view.getUint16(at + 2, true)]).toEqual([544, 0]);
    const arch = at + 8;
    expect(message.view.getUint8(arch)).toBe(8);
    expect(message.view.getUint8(arch + eventArch.offset("regs"))).toBe(0x22);
    expect(message.view.getUint8(arch + eventArch.offset("sregs"))).toBe(0x33);
    expect(message.view.getBigUint64(arch + eventArch.offset("msrs"), true)).toBe(0x10n);
  });

  it("are not sent unless they are enabled and allowed", async () => {
    const tool = await RawTool.hooked(dialect);
    const { events } = tool.vm.cpu;
    expect(events?.breakpoint(0, 1, () => undefined)).toBe(false);
    await tool.enable("breakpoint");
    tool.server.allowEvent(tool.eventId("breakpoint"), 0);
    expect(events?.breakpoint(0, 1, () => undefined)).toBe(false);
    expect(tool.vm.cpu.held).toBe(false);
  });

  it("count from one, through all vCPUs", async () => {
    const vm = new FakeVm(2);
    const tool = await RawTool.hooked(dialect, {}, vm);
    await tool.enable("hypercall", 0);
    await tool.enable("hypercall", 1);
    vm.vcpus[1]?.events?.hypercall(() => undefined);
    vm.vcpus[0]?.events?.hypercall(() => undefined);
    const [a, b] = [await got(tool), await got(tool)];
    const { at } = place(dialect, a);
    expect([a.seq, a.view.getUint16(at + 2, true), b.seq, b.view.getUint16(at + 2, true)]).toEqual([1, 1, 2, 0]);
  });

  it("CR: old and new value; the reply says what is written", async () => {
    const tool = await watching(dialect, "cr");
    let written: bigint | null = -1n;
    const { cpu } = tool.vm;
    expect(cpu.events?.cr(3, 5n, 5n, () => undefined)).toBe(false);
    expect(cpu.events?.cr(4, 5n, 6n, () => undefined)).toBe(false);
    expect(cpu.events?.cr(3, 0x1000n, 0x2000n, (value) => (written = value))).toBe(true);
    const message = await got(tool);
    expect([...specific(dialect, message)]).toEqual([3, ...zeros(7), ...le(8, 0x1000), ...le(8, 0x2000)]);
    expect(cpu.held).toBe(true);
    tool.answerEvent(message, "cr", 0, le(8, 0x3000));
    await settled();
    expect([written, cpu.held]).toEqual([0x3000n, false]);
  });

  it("CR: a reply that is too short means zeros; another action refuses the write", async () => {
    const tool = await watching(dialect, "cr");
    const written: (bigint | null)[] = [];
    for (const [action, data] of [
      [0, zeros(0)],
      [1, le(8, 1)],
    ] as const) {
      tool.vm.cpu.events?.cr(3, 1n, 2n, (value) => void written.push(value));
      tool.answerEvent(await got(tool), "cr", action, data);
      await settled();
    }
    expect(written).toEqual([0n, null]);
  });

  it("MSR", async () => {
    const tool = await watching(dialect, "msr");
    let written: bigint | null = null;
    expect(tool.vm.cpu.events?.msr(0x141, 1n, 2n, () => undefined)).toBe(false);
    tool.vm.cpu.events?.msr(0x140, 1n, 2n, (value) => (written = value));
    const message = await got(tool);
    expect([...specific(dialect, message)]).toEqual([...le(4, 0x140), 0, 0, 0, 0, ...le(8, 1), ...le(8, 2)]);
    tool.answerEvent(message, "msr", 0, le(8, 1));
    await settled();
    expect(written).toBe(1n);
  });

  it("BREAKPOINT: address and length; CONTINUE delivers, RETRY does not", async () => {
    const tool = await watching(dialect, "breakpoint");
    const verdicts: string[] = [];
    for (const action of [0, 1]) {
      tool.vm.cpu.events?.breakpoint(0x1234, 1, (verdict) => void verdicts.push(verdict));
      const message = await got(tool);
      expect([...specific(dialect, message)]).toEqual([...le(8, 0x1234), 1, ...zeros(7)]);
      tool.answerEvent(message, "breakpoint", action);
      await settled();
    }
    expect(verdicts).toEqual(["continue", "retry"]);
  });

  it("DESCRIPTOR: which table, and whether it is written", async () => {
    const tool = await watching(dialect, "descriptor");
    tool.vm.cpu.events?.descriptor(2, true, () => undefined);
    expect([...specific(dialect, await got(tool))]).toEqual([2, 1, 0, 0, 0, 0, 0, 0]);
  });

  it("PF: linear and physical address, and the access", async () => {
    const tool = await watching(dialect, "pf");
    let verdict: PageVerdict | null = null;
    tool.vm.cpu.view = 0;
    tool.vm.cpu.events?.pageFault(null, 0x3456, 2, (v) => (verdict = v));
    const message = await got(tool);
    expect([...specific(dialect, message)]).toEqual([...le(8, -1), ...le(8, 0x3456), 2, ...zeros(7)]);
    tool.answerEvent(message, "pf", 1);
    await settled();
    expect(verdict).toEqual({ action: "retry", context: null, repComplete: false });
  });

  it("SINGLESTEP", async () => {
    const tool = await RawTool.hooked(dialect);
    if (dialect === "rfc7") await tool.enable("singlestep");
    expect(tool.vm.cpu.events?.stepped(false)).toBe(false);
    await tool.vcpuErr("controlSinglestep", bytes([1], zeros(7)));
    expect(tool.vm.cpu.events?.stepped(false)).toBe(true);
    expect([...specific(dialect, await got(tool))]).toEqual([...zeros(8)]);
  });

  it("XSETBV", async () => {
    const tool = await watching(dialect, "xsetbv");
    tool.vm.cpu.events?.xsetbv(0, 1n, 7n, () => undefined);
    const data = specific(dialect, await got(tool));
    expect([...data]).toEqual(dialect === "v12" ? [...zeros(8), ...le(8, 1), ...le(8, 7)] : []);
  });

  it("TRAP tells what INJECT_EXCEPTION came to, and the exception follows the reply", async () => {
    const tool = await RawTool.hooked(dialect);
    if (dialect === "rfc7") await tool.enable("trap");
    const { cpu } = tool.vm;
    const pf = bytes([14, 0, 0, 0], le(4, 2), le(8, 0xdead000));
    expect(await tool.vcpuErr("injectException", pf)).toBe(0);
    const message = await got(tool);
    expect([...specific(dialect, message)]).toEqual([...pf]);
    expect([cpu.injected.length, cpu.held]).toEqual([0, true]);
    tool.answerEvent(message, "trap");
    await settled();
    expect(cpu.injected).toEqual([{ nr: 14, errorCode: 2, address: 0xdead000n }]);
    expect(cpu.held).toBe(false);
    expect(await tool.vcpuErr("injectException", pf)).toBe(0);
  });

  it("an exception that was there first is what TRAP tells, and the injected one is dropped", async () => {
    const tool = await watching(dialect, "breakpoint");
    if (dialect === "rfc7") await tool.enable("trap");
    const { cpu } = tool.vm;
    cpu.events?.breakpoint(0, 1, () => {
      cpu.pending = { nr: 3, errorCode: 0, address: 0n };
    });
    const breakpoint = await got(tool);
    expect(await tool.vcpuErr("injectException", bytes([6], zeros(15)))).toBe(0);
    tool.answerEvent(breakpoint, "breakpoint");
    const trap = await got(tool);
    expect(place(dialect, trap).id).toBe(tool.eventId("trap"));
    expect(specific(dialect, trap)[0]).toBe(3);
    tool.answerEvent(trap, "trap");
    await settled();
    expect(cpu.injected).toEqual([]);
  });

  it("commands run while an event waits; registers change with the reply", async () => {
    const tool = await watching(dialect, "breakpoint");
    const { cpu } = tool.vm;
    cpu.initialized = false;
    let rip = 0n;
    cpu.events?.breakpoint(0, 1, () => {
      rip = kvmRegs.decode(cpu.regs).rip;
    });
    const message = await got(tool);
    expect(await tool.vcpuErr("getRegisters", zeros(8))).toBe(0);
    const regs = zeros(144);
    regs.set(le(8, 0x8000), kvmRegs.offset("rip"));
    expect(await tool.vcpuErr("setRegisters", regs)).toBe(0);
    tool.answerEvent(message, "breakpoint", 1);
    await settled();
    expect(rip).toBe(0x8000n);
  });

  it("PAUSE comes behind the event that waits", async () => {
    const tool = await watching(dialect, "breakpoint");
    tool.vm.cpu.events?.breakpoint(0, 1, () => undefined);
    const first = await got(tool);
    expect(await tool.err("pause", dialect === "v12" ? zeros(8) : zeros(16))).toBe(0);
    tool.answerEvent(first, "breakpoint");
    const second = await got(tool);
    expect(place(dialect, second).id).toBe(tool.eventId("pause"));
    expect(tool.vm.cpu.held).toBe(true);
  });

  it("CRASH ends the machine", async () => {
    const tool = await watching(dialect, "breakpoint");
    tool.vm.cpu.events?.breakpoint(0, 1, () => undefined);
    tool.answerEvent(await got(tool), "breakpoint", 2);
    await settled();
    expect(tool.vm.crashed).toBe(true);
  });

  it.each([
    ["nothing waits", (tool: RawTool, seq: number) => [tool.eventReply("breakpoint"), seq + 1]],
    ["it is too short", (tool: RawTool, seq: number) => [tool.eventReply("breakpoint").subarray(0, 15), seq]],
    ["it is too long", (tool: RawTool, seq: number) => [tool.eventReply("breakpoint", 0, zeros(1)), seq]],
    [
      "its padding is not zero",
      (tool: RawTool, seq: number) => {
        const payload = tool.eventReply("breakpoint");
        payload[11] = 1;
        return [payload, seq];
      },
    ],
  ] as const)("a reply closes the connection if %s, and the event goes on", async (_name, make) => {
    const tool = await watching(dialect, "breakpoint");
    let verdict = "";
    tool.vm.cpu.events?.breakpoint(0, 1, (v) => (verdict = v));
    const { seq } = await got(tool);
    const [payload, answered] = make(tool, seq) as [Uint8Array, number];
    tool.send(tool.index.dialect.rules.eventReplyId, payload, answered);
    expect(await tool.receive()).toBeNull();
    expect([verdict, tool.vm.cpu.held]).toEqual(["continue", false]);
  });
});

describe("events only some dialects have", () => {
  it("CPUID", async () => {
    const tool = await watching("libkvmi", "cpuid");
    tool.vm.cpu.events?.cpuid(7, 1, 2, () => undefined);
    expect([...specific("libkvmi", await got(tool))]).toEqual([...le(4, 7), ...le(4, 1), 2, ...zeros(7)]);
  });

  it("CREATE_VCPU is enabled for the machine and answered for the vCPU", async () => {
    const tool = await RawTool.hooked();
    const { cpu } = tool.vm;
    expect(cpu.events?.created()).toBe(false);
    await tool.err("vmControlEvents", bytes(le(2, tool.eventId("createVcpu")), [1], zeros(5)));
    expect(cpu.events?.created()).toBe(true);
    const message = await got(tool);
    expect(message.size).toBe(544);
    tool.answerEvent(message, "createVcpu");
    await settled();
    expect(cpu.held).toBe(false);
  });

  it("PF of libkvmi: the reply carries what the instruction reads, and whether a repetition is over", async () => {
    const tool = await watching("libkvmi", "pf");
    let verdict: PageVerdict | null = null;
    tool.vm.cpu.events?.pageFault(0x5000n, 0x3000, 1, (v) => (verdict = v));
    const data = bytes(le(8, 0x5000), le(4, 2), [0, 1, 0, 0], [8, 9], zeros(254));
    tool.answerEvent(await got(tool), "pf", 0, data);
    await settled();
    expect(verdict).toEqual({
      action: "continue",
      context: { address: 0x5000n, data: Uint8Array.of(8, 9) },
      repComplete: true,
    });
  });

  it.each([
    ["more than 256 bytes", bytes(zeros(8), le(4, 257), zeros(260))],
    ["padding", bytes(zeros(14), [1], zeros(257))],
  ])("PF of libkvmi: a reply with %s closes the connection", async (_name, data) => {
    const tool = await watching("libkvmi", "pf");
    tool.vm.cpu.events?.pageFault(0n, 0, 1, () => undefined);
    tool.answerEvent(await got(tool), "pf", 0, data);
    expect(await tool.receive()).toBeNull();
  });

  it("v12 wants a reply to name its event and a known action", async () => {
    for (const [at, value] of [
      [8, 3],
      [9, 99],
    ] as const) {
      const tool = await watching("v12", "breakpoint");
      tool.vm.cpu.events?.breakpoint(0, 1, () => undefined);
      const { seq } = await got(tool);
      const payload = tool.eventReply("breakpoint");
      payload[at] = value;
      tool.send(1, payload, seq);
      expect(await tool.receive()).toBeNull();
    }
  });
});
