import { describe, expect, it } from "vitest";
import { cookieHash, DIALECTS, type DialectName, Errno, KvmiError, transportPair } from "../src/index.js";
import { FakeVm } from "./fakes.js";
import { bytes, IDENTITY, le, RawTool, settled } from "./raw-tool.js";

const all = Object.keys(DIALECTS) as DialectName[];
const zeros = (n: number): Uint8Array => new Uint8Array(n);

describe("the handshake", () => {
  it("starts with 96 bytes from the machine: size, uuid, time, name", async () => {
    const tool = new RawTool();
    await settled();
    expect(tool.greeting.length).toBe(96);
    const view = new DataView(tool.greeting.buffer);
    expect(view.getUint32(0, true)).toBe(96);
    expect([...tool.greeting.subarray(4, 20)]).toEqual([...IDENTITY.uuid]);
    expect(view.getUint32(20, true)).toBe(0);
    expect(view.getBigInt64(24, true)).toBe(1_700_000_000n);
    expect(new TextDecoder().decode(tool.greeting.subarray(32, 38))).toBe("guest\0");
  });

  it("takes a longer answer, in pieces, and what follows it", async () => {
    const tool = new RawTool();
    const answer = bytes(le(4, 40), zeros(36), tool.message(tool.id("getVersion"), zeros(0), 5));
    for (const byte of answer) tool.write(Uint8Array.of(byte));
    expect((await tool.reply()).seq).toBe(5);
  });

  it("refuses an answer shorter than 24 bytes", async () => {
    const tool = new RawTool();
    tool.write(bytes(le(4, 23), zeros(19)));
    await tool.served;
    await settled();
    expect(tool.closed).toBe(true);
  });

  it("wants SHA-1 of the secret if there is one", async () => {
    const hash = await cookieHash("secret");
    expect(Buffer.from(hash).toString("hex")).toBe("e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4");
    const wrong = new RawTool("libkvmi", { cookieHash: hash });
    wrong.write(bytes(le(4, 24), zeros(20)));
    await wrong.served;
    const right = new RawTool("libkvmi", { cookieHash: hash });
    right.write(bytes(le(4, 24), hash));
    expect(await right.err("getInfo")).toBe(0);
  });

  it("a second tool is refused while one is there, and welcome behind it", async () => {
    const tool = await RawTool.hooked();
    const [, far] = transportPair();
    expect(() => tool.server.hook(far)).toThrow(new KvmiError("hook", Errno.EEXIST));
    tool.transport.close();
    await tool.served;
    const [, again] = transportPair();
    void tool.server.hook(again);
    tool.server.disconnect();
  });

  it("a tool that never answers is given up", async () => {
    const tool = new RawTool("libkvmi", { handshakeMs: 1 });
    await tool.served;
    expect(tool.log).toEqual(["no handshake within 1 ms"]);
  });
});

describe("framing", () => {
  it("a message over 8184 bytes closes the connection", async () => {
    const tool = await RawTool.hooked();
    tool.write(bytes(le(2, 2), le(2, 8185), le(4, 1)));
    expect(await tool.receive()).toBeNull();
  });

  it("a message of 8184 bytes does not", async () => {
    const tool = await RawTool.hooked();
    expect(await tool.err("getInfo", zeros(8184))).toBe(0);
  });

  it("messages may come byte by byte or all at once", async () => {
    const tool = await RawTool.hooked();
    const batch = bytes(...[1, 2, 3].map((seq) => tool.message(tool.id("getInfo"), zeros(0), seq)));
    tool.write(batch);
    for (const byte of batch) tool.write(Uint8Array.of(byte));
    for (const seq of [1, 2, 3, 1, 2, 3]) expect((await tool.reply()).seq).toBe(seq);
  });

  it("the reply to an error is eight bytes", async () => {
    const tool = await RawTool.hooked();
    tool.send(0xffff, zeros(3), 9);
    const message = await tool.receive();
    expect(message?.size).toBe(8);
    expect([...(message?.payload ?? [])]).toEqual([...le(4, -1000n), 0, 0, 0, 0]);
  });
});

describe.each(all)("the receive loop (%s)", (dialect) => {
  it("an unknown id, also a hole in the numbering, is ENOSYS", async () => {
    const tool = await RawTool.hooked(dialect);
    const ids = new Set(tool.index.dialect.commands.map(({ id }) => id));
    for (let id = 2; id < 80; id++) {
      if (ids.has(id) || id === 0) continue;
      expect((await tool.ask(id, zeros(16))).err).toBe(Errno.ENOSYS);
    }
    expect((await tool.ask(0xffff)).err).toBe(Errno.ENOSYS);
  });

  it("a forbidden id is EPERM, except those that ask what is there", async () => {
    const tool = await RawTool.hooked(dialect, { commands: [] });
    for (const { id, name } of tool.index.dialect.commands) {
      const { err } = await tool.ask(id, bytes(le(2, tool.id("getVersion")), zeros(6)));
      if (["getVersion", "checkCommand"].includes(name)) expect(err).toBe(0);
      else if (name === "checkEvent") expect((await tool.ask(id, zeros(8))).err).toBe(0);
      else expect(err).toBe(Errno.EPERM);
    }
  });

  it("a short message is filled up with zeros: without payload it means vCPU 0", async () => {
    const tool = await RawTool.hooked(dialect);
    expect((await tool.ask(tool.id("vcpuGetInfo"))).data).toEqual(le(8, 1_000_000_000));
  });

  it("padding in the vCPU header closes the connection", async () => {
    for (const at of [2, 7]) {
      const tool = await RawTool.hooked(dialect);
      const payload = zeros(8);
      payload[at] = 1;
      tool.send(tool.id("vcpuGetInfo"), payload);
      expect(await tool.receive()).toBeNull();
    }
  });

  it("a vCPU that does not exist is EINVAL, one that has not started EAGAIN", async () => {
    const vm = new FakeVm(2);
    const tool = await RawTool.hooked(dialect, {}, vm);
    expect(await tool.vcpuErr("vcpuGetInfo", zeros(0), 99)).toBe(Errno.EINVAL);
    const ap = vm.vcpus[1];
    if (ap !== undefined) ap.initialized = false;
    expect(await tool.vcpuErr("vcpuGetInfo", zeros(0), 1)).toBe(Errno.EAGAIN);
  });

  it("vCPU commands wait for their vCPU; those of others and of the VM overtake them", async () => {
    const vm = new FakeVm(2);
    const tool = await RawTool.hooked(dialect, {}, vm);
    vm.cpu.busy = true;
    const id = tool.id("vcpuGetInfo");
    tool.send(id, le(8, 0), 1);
    tool.send(id, le(8, 1), 2);
    tool.send(tool.id("getInfo"), zeros(0), 3);
    tool.send(id, le(8, 0), 4);
    expect([(await tool.reply()).seq, (await tool.reply()).seq]).toEqual([2, 3]);
    vm.cpu.arrive();
    expect([(await tool.reply()).seq, (await tool.reply()).seq]).toEqual([1, 4]);
  });

  it("padding in a command is EINVAL", async () => {
    const tool = await RawTool.hooked(dialect);
    expect(await tool.err("checkCommand", bytes(le(2, tool.id("getInfo")), [1, 0, 0, 0, 0, 0]))).toBe(Errno.EINVAL);
    expect(await tool.vcpuErr("controlMsr", bytes([1, 1, 0, 0], le(4, 0x174)))).toBe(Errno.EINVAL);
  });
});

describe("leaving", () => {
  it("undoes everything", async () => {
    const tool = await RawTool.hooked();
    const { vm } = tool;
    await tool.enable("breakpoint");
    await tool.enable("cr");
    await tool.enable("pf");
    await tool.vcpuErr("controlCr", bytes([1, 0, 0, 0], le(4, 3)));
    await tool.vcpuErr("controlMsr", bytes([1, 0, 0, 0], le(4, 0x174)));
    await tool.vcpuErr("controlSinglestep", bytes([1], zeros(7)));
    await tool.err("setPageAccess", bytes(le(2, 0), le(2, 1), zeros(4), le(8, 0x1000), [1], zeros(7)));
    expect([vm.cpu.intercepted.size, vm.cpu.crs.size, vm.cpu.controlledMsrs.size, vm.access.size]).toEqual([
      3, 1, 1, 1,
    ]);
    let verdict = "";
    vm.cpu.events?.breakpoint(0x1000, 1, (v) => {
      verdict = v;
    });
    expect(vm.cpu.held).toBe(true);
    tool.transport.close();
    await tool.served;
    expect(verdict).toBe("continue");
    expect([vm.cpu.intercepted.size, vm.cpu.crs.size, vm.cpu.controlledMsrs.size, vm.access.size]).toEqual([
      0, 0, 0, 0,
    ]);
    expect([vm.cpu.held, vm.cpu.stepping, vm.cpu.events]).toEqual([false, false, null]);
  });

  it("lets a write to a control register keep the guest's value", async () => {
    const tool = await RawTool.hooked();
    await tool.enable("cr");
    await tool.vcpuErr("controlCr", bytes([1, 0, 0, 0], le(4, 3)));
    let written: bigint | null = 0n;
    tool.vm.cpu.events?.cr(3, 0x1000n, 0x2000n, (value) => {
      written = value;
    });
    tool.transport.close();
    await tool.served;
    expect(written).toBe(0x2000n);
  });

  it("in v12 keeps what was asked for if VM_CONTROL_CLEANUP said so", async () => {
    const tool = await RawTool.hooked("v12");
    await tool.enable("breakpoint");
    expect(await tool.err("controlCleanup", bytes([0], zeros(7)))).toBe(0);
    tool.transport.close();
    await tool.served;
    expect(tool.vm.cpu.intercepted.has("breakpoint")).toBe(true);
  });

  it("UNHOOK is sent before the machine is paused, and waited for", async () => {
    const tool = await RawTool.hooked();
    expect(await tool.err("vmControlEvents", bytes(le(2, tool.eventId("unhook")), [1], zeros(5)))).toBe(0);
    const left = tool.server.unhook();
    const event = await tool.receive();
    expect([event?.id, event?.size, event?.payload[4]]).toEqual([1, 544, tool.eventId("unhook")]);
    tool.transport.close();
    await left;
    expect(tool.server.hooked).toBe(false);
  });

  it("UNHOOK of v12 is a message of its own, of eight bytes", async () => {
    const tool = await RawTool.hooked("v12");
    await tool.err("vmControlEvents", bytes(le(2, 0), [1], zeros(5)));
    const left = tool.server.unhook();
    const event = await tool.receive();
    expect([event?.id, event?.size, event?.seq]).toEqual([0, 8, 1]);
    tool.transport.close();
    await left;
  });

  it("a tool that stays is thrown out", async () => {
    const tool = await RawTool.hooked("libkvmi", { unhookMs: 1 });
    await tool.err("vmControlEvents", bytes(le(2, 0), [1], zeros(5)));
    await tool.server.unhook();
    expect(tool.server.hooked).toBe(false);
  });
});
