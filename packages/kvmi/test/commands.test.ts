import { describe, expect, it } from "vitest";
import { DIALECTS, type DialectName, Errno } from "../src/index.js";
import { FakeVm } from "./fakes.js";
import { bytes, le, RawTool, settled } from "./raw-tool.js";

const all = Object.keys(DIALECTS) as DialectName[];
const zeros = (n: number): Uint8Array => new Uint8Array(n);
const u32 = (data: Uint8Array, at = 0): number => new DataView(data.buffer, data.byteOffset).getUint32(at, true);

/** Request head of READ_PHYSICAL and WRITE_PHYSICAL. */
const range = (dialect: DialectName, gpa: number | bigint, size: number | bigint): Uint8Array =>
  bytes(le(8, gpa), dialect === "v12" ? bytes(le(2, size), zeros(6)) : le(8, size));
const controlCr = (dialect: DialectName, cr: number, enable: number): Uint8Array =>
  dialect === "v12" ? bytes([cr, enable], zeros(6)) : bytes([enable, 0, 0, 0], le(4, cr));
const event = (id: number, enable: number): Uint8Array => bytes(le(2, id), [enable], zeros(5));

describe.each(all)("commands of the VM (%s)", (dialect) => {
  const hooked = (vm?: FakeVm): Promise<RawTool> => RawTool.hooked(dialect, {}, vm);

  it("GET_VERSION: 1, and what is supported", async () => {
    const { data } = await (await hooked()).ask(2);
    expect(data.length).toBe(16);
    expect(u32(data)).toBe(1);
    expect(u32(data, 4)).toBe(dialect === "v12" ? 8184 : 0);
    expect([...data.subarray(8)]).toEqual(dialect === "libkvmi" ? [0, 0, 1, 0, 1, 0, 0, 0] : [1, 0, 0, 0, 0, 0, 0, 0]);
  });

  it("CHECK_COMMAND: known, unknown, forbidden", async () => {
    const tool = await hooked();
    expect(await tool.err("checkCommand", bytes(le(2, tool.id("getInfo")), zeros(6)))).toBe(0);
    expect(await tool.err("checkCommand", bytes(le(2, 0xffff), zeros(6)))).toBe(
      dialect === "v12" ? Errno.ENOENT : Errno.EINVAL,
    );
    expect(tool.server.allowCommand(tool.id("getInfo"), 0)).toBe(0);
    expect(await tool.err("checkCommand", bytes(le(2, tool.id("getInfo")), zeros(6)))).toBe(Errno.EPERM);
  });

  it("CHECK_EVENT: known, unknown, forbidden", async () => {
    const tool = await hooked();
    const id = tool.eventId("unhook");
    expect(await tool.err("checkEvent", bytes(le(2, id), zeros(6)))).toBe(0);
    expect(await tool.err("checkEvent", bytes(le(2, 0xffff), zeros(6)))).toBe(
      dialect === "v12" ? Errno.ENOENT : Errno.EINVAL,
    );
    expect(tool.server.allowEvent(id, 0)).toBe(0);
    expect(await tool.err("checkEvent", bytes(le(2, id), zeros(6)))).toBe(Errno.EPERM);
  });

  it("GET_INFO: the number of vCPUs", async () => {
    const { data } = await (await hooked(new FakeVm(3))).ask((await hooked()).id("getInfo"));
    expect([...data]).toEqual([3, ...zeros(15)]);
  });

  it("READ_PHYSICAL and WRITE_PHYSICAL: what is written is read, within one page", async () => {
    const tool = await hooked();
    expect(await tool.err("writePhysical", bytes(range(dialect, 0x1ffe, 2), [5, 6]))).toBe(0);
    expect([...tool.vm.memory.subarray(0x1ffd, 0x2001)]).toEqual([0, 5, 6, 0]);
    expect((await tool.ask(tool.id("readPhysical"), range(dialect, 0x1ffe, 2))).data).toEqual(Uint8Array.of(5, 6));
    expect((await tool.ask(tool.id("readPhysical"), range(dialect, 0x1000, 4096))).data.length).toBe(4096);
    for (const name of ["readPhysical", "writePhysical"] as const) {
      const data = name === "writePhysical" ? zeros(4097) : zeros(0);
      expect(await tool.err(name, bytes(range(dialect, 0, 0), data))).toBe(Errno.EINVAL);
      expect(await tool.err(name, bytes(range(dialect, 0, 4097), data))).toBe(Errno.EINVAL);
      expect(await tool.err(name, bytes(range(dialect, 0xfff, 2), data))).toBe(Errno.EINVAL);
      expect(await tool.err(name, bytes(range(dialect, 0x4000, 1), data))).toBe(Errno.ENOENT);
      expect(await tool.err(name, bytes(range(dialect, 2n ** 63n, 1), data))).toBe(Errno.ENOENT);
    }
  });

  it("WRITE_PHYSICAL with less data than it says closes the connection", async () => {
    const tool = await hooked();
    tool.send(tool.id("writePhysical"), bytes(range(dialect, 0, 2), [1]));
    expect(await tool.receive()).toBeNull();
    expect(tool.vm.memory[0]).toBe(0);
  });

  it("VM_CONTROL_EVENTS: events of the VM only", async () => {
    const tool = await hooked();
    expect(await tool.err("vmControlEvents", event(tool.eventId("unhook"), 1))).toBe(0);
    expect(await tool.err("vmControlEvents", event(tool.eventId("unhook"), 0))).toBe(0);
    expect(await tool.err("vmControlEvents", event(tool.eventId("cr"), 1))).toBe(Errno.EINVAL);
    expect(await tool.err("vmControlEvents", event(0xffff, 1))).toBe(Errno.EINVAL);
    expect(await tool.err("vmControlEvents", event(tool.eventId("unhook"), 2))).toBe(
      dialect === "v12" ? Errno.EINVAL : 0,
    );
    tool.server.allowEvent(tool.eventId("unhook"), 0);
    expect(await tool.err("vmControlEvents", event(tool.eventId("unhook"), 1))).toBe(Errno.EPERM);
  });

  it("SET_PAGE_ACCESS: every entry is tried, the first error is answered", async () => {
    const tool = await hooked();
    const head = dialect === "libkvmi" ? bytes(le(2, 0), le(2, 3), zeros(4)) : bytes(le(2, 3), zeros(6));
    const entry = (gpa: number, access: number, pad = 0): Uint8Array => bytes(le(8, gpa), [access, pad], zeros(6));
    const entries = bytes(entry(0x1000, 5), entry(0x2000, 8), entry(0x3000, 0));
    expect(await tool.err("setPageAccess", bytes(head, entries))).toBe(Errno.EINVAL);
    expect([...tool.vm.access]).toEqual([
      ["0:1", 5],
      ["0:3", 0],
    ]);
    expect(await tool.err("setPageAccess", bytes(head, entry(0x1000, 7), entry(0x2000, 1, 1), entry(0x3000, 7)))).toBe(
      Errno.EINVAL,
    );
    expect(tool.vm.access.size).toBe(0);
    expect(await tool.err("setPageAccess", bytes(head, entry(0x1000, 1)))).toBe(Errno.EINVAL);
    expect(tool.vm.access.size).toBe(0);
  });

  it("PAUSE is answered, and brings exactly one PAUSE event, also of a vCPU that has not started", async () => {
    const tool = await hooked();
    tool.vm.cpu.initialized = false;
    expect(await tool.err("pause", dialect === "v12" ? zeros(8) : zeros(16))).toBe(0);
    const sent = await tool.receive();
    expect(tool.vm.cpu.held).toBe(true);
    if (sent !== null) tool.answerEvent(sent, "pause");
    await settled();
    expect(tool.vm.cpu.held).toBe(false);
    expect(await tool.err("getInfo")).toBe(0);
  });

  it("PAUSE: 1001 may wait, one more is EBUSY; a vCPU that does not exist is EINVAL", async () => {
    const tool = await hooked();
    tool.vm.cpu.busy = true;
    const payload = dialect === "v12" ? zeros(8) : zeros(16);
    for (let k = 0; k < 1001; k++) expect(await tool.err("pause", payload)).toBe(0);
    expect(await tool.err("pause", payload)).toBe(Errno.EBUSY);
    expect(await tool.err("pause", bytes(le(2, 7), payload.subarray(2)))).toBe(Errno.EINVAL);
  });
});

describe("PAUSE while its event is forbidden", () => {
  it.each([
    ["libkvmi", null],
    ["rfc7", null],
    ["v12", Errno.EPERM],
  ] as const)("%s", async (dialect, err) => {
    const tool = await RawTool.hooked(dialect);
    tool.server.allowEvent(tool.eventId("pause"), 0);
    if (err !== null) expect(await tool.err("pause", zeros(8))).toBe(err);
    else {
      tool.send(tool.id("pause"), zeros(16));
      expect(await tool.receive()).toBeNull();
    }
  });
});

describe("the owner's masks", () => {
  it("cannot be set while no tool is there: EFAULT", () => {
    const tool = new RawTool();
    expect(tool.server.allowCommand(-1, 1)).toBe(Errno.EFAULT);
    expect(tool.server.allowEvent(-1, 1)).toBe(Errno.EFAULT);
  });

  it("take 0 and 1 only, know what exists, and cannot forbid the three that ask", async () => {
    const { server, index } = await RawTool.hooked();
    expect(server.allowCommand(5, 2)).toBe(Errno.EINVAL);
    expect(server.allowEvent(5, 2)).toBe(Errno.EINVAL);
    expect(server.allowCommand(12, 1)).toBe(Errno.ENOENT);
    expect(server.allowEvent(99, 1)).toBe(Errno.ENOENT);
    for (const id of [2, 3, 4]) expect(server.allowCommand(id, 0)).toBe(Errno.EPERM);
    for (const allow of [0, 1]) {
      expect(server.allowCommand(-1, allow)).toBe(0);
      expect(server.allowEvent(-1, allow)).toBe(0);
    }
    expect(index.dialect.name).toBe("libkvmi");
  });

  it("hold for holes in the numbering: CHECK answers EPERM inside the range", async () => {
    const tool = await RawTool.hooked();
    expect(await tool.err("checkCommand", bytes(le(2, 12), zeros(6)))).toBe(Errno.EPERM);
    expect(await tool.err("checkCommand", bytes(le(2, 64), zeros(6)))).toBe(Errno.EINVAL);
    expect(await tool.err("checkEvent", bytes(le(2, 14), zeros(6)))).toBe(Errno.EINVAL);
  });
});

describe.each(all)("commands of vCPUs (%s)", (dialect) => {
  const hooked = (vm?: FakeVm): Promise<RawTool> => RawTool.hooked(dialect, {}, vm);

  it("VCPU_CONTROL_EVENTS: events of vCPUs only, forbidden ones not, and what cannot be intercepted says so", async () => {
    const tool = await hooked();
    const id = tool.eventId("breakpoint");
    expect(await tool.vcpuErr("vcpuControlEvents", event(id, 1))).toBe(0);
    expect(tool.vm.cpu.intercepted.has("breakpoint")).toBe(true);
    expect(await tool.vcpuErr("vcpuControlEvents", event(id, 0))).toBe(0);
    expect(tool.vm.cpu.intercepted.size).toBe(0);
    expect(await tool.vcpuErr("vcpuControlEvents", event(0xffff, 1))).toBe(Errno.EINVAL);
    expect(await tool.vcpuErr("vcpuControlEvents", event(tool.eventId("unhook"), 1))).toBe(Errno.EINVAL);
    expect(await tool.vcpuErr("vcpuControlEvents", event(id, 2))).toBe(dialect === "v12" ? Errno.EINVAL : 0);
    await tool.vcpuErr("vcpuControlEvents", event(id, 0));
    tool.vm.cpu.status = Errno.EOPNOTSUPP;
    expect(await tool.vcpuErr("vcpuControlEvents", event(id, 1))).toBe(Errno.EOPNOTSUPP);
    tool.vm.cpu.status = 0;
    tool.server.allowEvent(id, 0);
    expect(await tool.vcpuErr("vcpuControlEvents", event(id, 1))).toBe(Errno.EPERM);
  });

  it("events that are always on can be enabled and disabled to no effect", async () => {
    const tool = await hooked();
    for (const { id, always } of tool.index.dialect.events)
      if (always) for (const on of [1, 0]) expect(await tool.vcpuErr("vcpuControlEvents", event(id, on))).toBe(0);
  });

  it("GET_REGISTERS: mode, registers, and MSRs in the order asked; 472 bytes and 16 for each MSR", async () => {
    const tool = await hooked();
    tool.vm.cpu.regs.fill(0xaa);
    tool.vm.cpu.sregs.fill(0xbb);
    const list = bytes(le(2, 2), zeros(6), le(4, 0x174), le(4, 0x174));
    const { err, data } = await tool.ask(tool.id("getRegisters"), bytes(zeros(8), list));
    expect([err, data.length, u32(data), u32(data, 464)]).toEqual([0, 472 + 32, 8, 2]);
    expect(data.subarray(8, 152).every((byte) => byte === 0xaa)).toBe(true);
    expect(data.subarray(152, 464).every((byte) => byte === 0xbb)).toBe(true);
    expect([...data.subarray(472, 488)]).toEqual([...le(4, 0x174), 0, 0, 0, 0, ...le(8, 0x10)]);
  });

  it("GET_REGISTERS: a list cut short, an MSR that does not exist, and a reply that would be too large", async () => {
    const tool = await hooked();
    expect(await tool.vcpuErr("getRegisters", bytes(le(2, 2), zeros(6), le(4, 0x174)))).toBe(Errno.EINVAL);
    expect(await tool.vcpuErr("getRegisters", bytes(le(2, 1), zeros(6), le(4, 0xffffffff)))).toBe(Errno.EINVAL);
    const many = Array.from({ length: 500 }, () => le(4, 0x174));
    expect(await tool.vcpuErr("getRegisters", bytes(le(2, 500), zeros(6), ...many))).toBe(
      dialect === "v12" ? Errno.EINVAL : Errno.ENOMEM,
    );
  });

  it("SET_REGISTERS: only while an event waits, and not before its reply", async () => {
    const tool = await hooked();
    const regs = zeros(144).fill(0x11);
    expect(await tool.vcpuErr("setRegisters", regs)).toBe(Errno.EOPNOTSUPP);
    tool.send(tool.id("pause"), dialect === "v12" ? zeros(8) : zeros(16));
    await tool.reply();
    const sent = await tool.receive();
    expect(await tool.vcpuErr("setRegisters", regs)).toBe(0);
    expect(tool.vm.cpu.regs[0]).toBe(0);
    if (sent !== null) tool.answerEvent(sent, "pause");
    await settled();
    expect(tool.vm.cpu.regs).toEqual(regs);
  });

  it("GET_CPUID: as the guest sees it; no such leaf is ENOENT", async () => {
    const tool = await hooked();
    const { data } = await tool.ask(tool.id("getCpuid"), bytes(zeros(8), le(4, 7), le(4, 1)));
    expect([0, 4, 8, 12].map((at) => u32(data, at))).toEqual([7, 1, 3, 4]);
    expect(await tool.vcpuErr("getCpuid", bytes(le(4, 0x80), zeros(4)))).toBe(Errno.ENOENT);
  });

  it("CONTROL_CR: 0, 3 and 4; CONTROL_MSR: the two ranges", async () => {
    const tool = await hooked();
    for (const cr of [0, 3, 4]) expect(await tool.vcpuErr("controlCr", controlCr(dialect, cr, 1))).toBe(0);
    expect([...tool.vm.cpu.crs]).toEqual([0, 3, 4]);
    for (const cr of [2, 8, 99]) expect(await tool.vcpuErr("controlCr", controlCr(dialect, cr, 1))).toBe(Errno.EINVAL);
    const msr = (index: number, enable = 1): Uint8Array => bytes([enable, 0, 0, 0], le(4, index));
    for (const index of [0, 0x1fff, 0xc0000000, 0xc0001fff])
      expect(await tool.vcpuErr("controlMsr", msr(index))).toBe(0);
    for (const index of [0x2000, 0xbfffffff, 0xc0002000, 0xffffffff])
      expect(await tool.vcpuErr("controlMsr", msr(index))).toBe(Errno.EINVAL);
    expect(tool.vm.cpu.controlledMsrs.size).toBe(4);
    if (dialect !== "v12") return;
    expect(await tool.vcpuErr("controlCr", controlCr(dialect, 3, 2))).toBe(Errno.EINVAL);
    expect(await tool.vcpuErr("controlMsr", msr(0x174, 2))).toBe(Errno.EINVAL);
  });

  it("GET_XSAVE: 4096 bytes; GET_MTRR_TYPE; TRANSLATE_GVA is never an error", async () => {
    const tool = await hooked();
    tool.vm.cpu.xsave[5] = 9;
    expect((await tool.ask(tool.id("getXsave"), zeros(8))).data).toEqual(tool.vm.cpu.xsave);
    expect((await tool.ask(tool.id("getMtrrType"), zeros(16))).data).toEqual(le(8, 6));
    const translate = tool.id("translateGva");
    expect((await tool.ask(translate, bytes(zeros(8), le(8, 0x123)))).data).toEqual(le(8, 0x1123));
    expect((await tool.ask(translate, bytes(zeros(8), le(8, -1)))).data).toEqual(le(8, -1));
  });

  it("CONTROL_SINGLESTEP", async () => {
    const tool = await hooked();
    expect(await tool.vcpuErr("controlSinglestep", bytes([1], zeros(7)))).toBe(0);
    expect(tool.vm.cpu.stepping).toBe(true);
    expect(await tool.vcpuErr("controlSinglestep", zeros(8))).toBe(0);
    expect(tool.vm.cpu.stepping).toBe(false);
    expect(await tool.vcpuErr("controlSinglestep", bytes([2], zeros(7)))).toBe(dialect === "v12" ? Errno.EINVAL : 0);
  });

  it("INJECT_EXCEPTION: one at a time, exceptions only", async () => {
    const tool = await hooked();
    tool.vm.cpu.busy = true;
    const ud = bytes([6], zeros(15));
    tool.send(tool.id("injectException"), bytes(zeros(8), ud));
    tool.send(tool.id("injectException"), bytes(zeros(8), ud));
    tool.send(tool.id("injectException"), bytes(zeros(8), [32], zeros(15)));
    await settled();
    tool.vm.cpu.arrive();
    expect([(await tool.reply()).err, (await tool.reply()).err, (await tool.reply()).err]).toEqual([
      0,
      Errno.EBUSY,
      Errno.EINVAL,
    ]);
  });
});

describe("commands only some dialects have", () => {
  it("GET_XCR: 0 only", async () => {
    for (const dialect of ["libkvmi", "v12"] as const) {
      const tool = await RawTool.hooked(dialect);
      expect((await tool.ask(tool.id("getXcr"), zeros(16))).data).toEqual(le(8, 3));
      expect(await tool.vcpuErr("getXcr", bytes([1], zeros(7)))).toBe(Errno.EINVAL);
    }
  });

  it("SET_XSAVE: up to 4096 bytes of a valid state", async () => {
    const tool = await RawTool.hooked();
    expect(await tool.vcpuErr("setXsave", zeros(4096).fill(3))).toBe(0);
    expect(tool.vm.cpu.xsave[4095]).toBe(3);
    expect(await tool.vcpuErr("setXsave", zeros(4097))).toBe(Errno.EINVAL);
    expect(await tool.vcpuErr("setXsave", zeros(4096).fill(0xff))).toBe(Errno.EINVAL);
    expect(tool.vm.cpu.xsave[4095]).toBe(3);
    tool.vm.features = { singlestep: false, xsave: false };
    expect(await tool.vcpuErr("setXsave", zeros(4096))).toBe(Errno.EOPNOTSUPP);
    expect(await tool.vcpuErr("getXsave")).toBe(Errno.EOPNOTSUPP);
    expect(await tool.vcpuErr("controlSinglestep", bytes([1], zeros(7)))).toBe(Errno.EOPNOTSUPP);
  });

  it("GET_MAX_GFN and GET_NEXT_AVAILABLE_GFN, ALLOC_GFN and FREE_GFN", async () => {
    const tool = await RawTool.hooked();
    expect((await tool.ask(tool.id("getMaxGfn"))).data).toEqual(le(8, 4));
    expect((await tool.ask(tool.id("getNextAvailableGfn"))).data).toEqual(le(8, 4));
    expect(await tool.vcpuErr("allocGfn", le(8, 4))).toBe(0);
    expect(await tool.vcpuErr("allocGfn", le(8, 4))).toBe(Errno.EINVAL);
    expect(await tool.vcpuErr("freeGfn", le(8, 4))).toBe(0);
    expect(await tool.vcpuErr("freeGfn", le(8, 4))).toBe(Errno.EINVAL);
    expect(await tool.vcpuErr("allocGfn", le(8, 2n ** 52n))).toBe(Errno.EINVAL);
  });

  it("views: made, used, destroyed; without them EOPNOTSUPP", async () => {
    const tool = await RawTool.hooked();
    expect((await tool.ask(tool.id("createEptView"))).data).toEqual(le(8, 1));
    expect(await tool.vcpuErr("setEptView", le(8, 2))).toBe(Errno.EINVAL);
    expect(await tool.vcpuErr("setEptView", le(8, 1))).toBe(0);
    expect((await tool.ask(tool.id("getEptView"), zeros(8))).data).toEqual(le(8, 1));
    const entry = bytes(le(8, 0x1000), [1], zeros(7));
    expect(await tool.err("setPageAccess", bytes(le(2, 1), le(2, 1), zeros(4), entry))).toBe(0);
    expect(tool.vm.access.get("1:1")).toBe(1);
    expect(await tool.err("setPageAccess", bytes(le(2, 2), le(2, 1), zeros(4), entry))).toBe(Errno.EINVAL);
    expect(await tool.err("destroyEptView", le(8, 0))).toBe(Errno.EINVAL);
    expect(await tool.err("destroyEptView", le(8, 1))).toBe(0);
    tool.vm.views = null;
    expect(await tool.err("createEptView")).toBe(Errno.EOPNOTSUPP);
    expect(await tool.vcpuErr("setEptView", le(8, 1))).toBe(Errno.EOPNOTSUPP);
    expect(await tool.err("setPageAccess", bytes(le(2, 1), le(2, 1), zeros(4), entry))).toBe(Errno.EOPNOTSUPP);
  });

  it("CHANGE_GFN, in its new and its old form", async () => {
    const tool = await RawTool.hooked();
    expect(await tool.vcpuErr("changeGfn", bytes(le(8, 0), le(8, 1), le(8, 2)))).toBe(0);
    expect([...tool.vm.remapped]).toEqual([["0:1", 2]]);
    expect(await tool.vcpuErr("changeGfn", bytes(le(8, 1), le(8, 1)))).toBe(0);
    expect(tool.vm.remapped.size).toBe(0);
    expect(await tool.vcpuErr("changeGfn", bytes(le(8, 0), le(8, 1), le(8, -1)))).toBe(Errno.EPERM);
    expect(await tool.vcpuErr("changeGfn", bytes(le(8, 0), le(8, 1), le(8, 99)))).toBe(Errno.EINVAL);
    expect(await tool.vcpuErr("changeGfn", bytes(le(8, 3), le(8, 1), le(8, 2)))).toBe(Errno.EINVAL);
  });

  it("sub-page protection is EOPNOTSUPP, map tokens and #VE are ENOSYS", async () => {
    const tool = await RawTool.hooked();
    expect(await tool.err("controlSpp", zeros(8))).toBe(Errno.EOPNOTSUPP);
    expect(await tool.err("setPageWriteBitmap", zeros(8))).toBe(Errno.EOPNOTSUPP);
    for (const id of [22, 28, 30, 33, 39]) expect((await tool.ask(id, zeros(24))).err).toBe(Errno.ENOSYS);
  });

  it("INJECT_EXCEPTION of v12 while TRAP is forbidden is EPERM", async () => {
    const tool = await RawTool.hooked("v12");
    tool.server.allowEvent(tool.eventId("trap"), 0);
    expect(await tool.vcpuErr("injectException", bytes([6], zeros(15)))).toBe(Errno.EPERM);
  });
});

describe("switching replies off", () => {
  const off = (now: number, flags = 0): Uint8Array => bytes([0, now, flags], zeros(5));
  const on = (now: number): Uint8Array => bytes([1, now, 0], zeros(5));

  it("a batch is answered once, by its last message", async () => {
    const tool = await RawTool.hooked();
    const id = tool.id("controlCmdResponse");
    const pause = tool.message(tool.id("pause"), zeros(16), 2);
    tool.write(bytes(tool.message(id, off(1), 1), pause, tool.message(id, on(1), 3)));
    const messages = [await tool.receive(), await tool.receive()];
    expect(messages.map((message) => message?.id).sort((a, b) => (a ?? 0) - (b ?? 0))).toEqual([1, 27]);
    expect(messages.find((message) => message?.id === 27)?.seq).toBe(3);
  });

  it("takes effect before its own reply, or behind it", async () => {
    const tool = await RawTool.hooked();
    const id = tool.id("controlCmdResponse");
    expect((await tool.ask(id, off(0))).err).toBe(0);
    tool.send(id, on(0), 7);
    expect((await tool.ask(tool.id("getInfo"))).err).toBe(0);
    tool.send(id, off(1), 8);
    expect((await tool.ask(id, on(1))).err).toBe(0);
  });

  it("errors are lost, or come as CMD_ERROR", async () => {
    const tool = await RawTool.hooked();
    const id = tool.id("controlCmdResponse");
    const bad = bytes(le(2, 0xffff), zeros(6));
    tool.send(id, off(1), 1);
    tool.send(tool.id("checkCommand"), bad, 2);
    tool.send(id, off(1, 1), 3);
    tool.send(tool.id("checkCommand"), bad, 4);
    const error = await tool.receive();
    expect([error?.id, error?.payload[4], error?.size]).toEqual([1, 12, 560]);
    expect([...(error?.payload.subarray(544) ?? [])]).toEqual([...le(4, -22), ...le(4, 4), ...le(2, 3), ...zeros(6)]);
    expect((await tool.ask(id, on(1))).err).toBe(0);
  });

  it.each([
    ["a command with reply data", (tool: RawTool) => tool.send(tool.id("getInfo"))],
    ["an unknown command", (tool: RawTool) => tool.send(0xffff)],
    ["a forbidden command", (tool: RawTool) => tool.send(tool.id("controlCr"))],
  ])("%s closes the connection", async (_name, send) => {
    const tool = await RawTool.hooked("libkvmi", { commands: ["controlCmdResponse", "getInfo"] });
    tool.send(tool.id("controlCmdResponse"), off(1));
    send(tool);
    expect(await tool.receive()).toBeNull();
  });

  it("CMD_ERROR forbidden closes the connection", async () => {
    const tool = await RawTool.hooked();
    tool.server.allowEvent(12, 0);
    tool.send(tool.id("controlCmdResponse"), off(1, 1));
    tool.send(tool.id("checkCommand"), bytes(le(2, 0xffff), zeros(6)));
    expect(await tool.receive()).toBeNull();
  });

  it("padding closes the connection", async () => {
    const tool = await RawTool.hooked();
    tool.send(tool.id("controlCmdResponse"), bytes([1, 1, 0, 1], zeros(4)));
    expect(await tool.receive()).toBeNull();
  });

  it("what counts is when a vCPU command was queued", async () => {
    const tool = await RawTool.hooked();
    tool.vm.cpu.busy = true;
    const id = tool.id("controlCmdResponse");
    tool.send(id, off(1), 1);
    tool.send(tool.id("controlCr"), bytes(zeros(8), [1, 0, 0, 0], le(4, 3)), 2);
    tool.send(id, on(1), 3);
    tool.send(tool.id("vcpuGetInfo"), zeros(8), 4);
    expect((await tool.reply()).seq).toBe(3);
    tool.vm.cpu.arrive();
    expect((await tool.reply()).seq).toBe(4);
    expect(tool.vm.cpu.crs.has(3)).toBe(true);
  });
});
