import { describe, expect, it } from "vitest";
import { Errno, type Transport, transportPair } from "../src/index.js";
import { MAX_JOBS } from "../src/server/vcpu.js";
import { FakeVm } from "./fakes.js";
import { bytes, le, RawTool, settled } from "./raw-tool.js";

const zeros = (n: number): Uint8Array => new Uint8Array(n);
const pageAccess = (...gfns: readonly number[]): Uint8Array =>
  bytes(le(2, 0), le(2, gfns.length), zeros(4), ...gfns.map((gfn) => bytes(le(8, gfn * 4096), [1], zeros(7))));
const breakpoint = (gva: number, enable = 1): Uint8Array => bytes(le(8, gva), [enable], zeros(7));

describe("what a machine has no room for is ENOMEM", () => {
  it("pages: every entry is tried, and those that give back are", async () => {
    const vm = new FakeVm();
    vm.mostRestricted = 2;
    const tool = await RawTool.hooked("libkvmi", {}, vm);
    expect(await tool.err("setPageAccess", pageAccess(1, 2))).toBe(0);
    const giveBack = bytes(pageAccess(3, 1).with(24 + 8, 7));
    expect(await tool.err("setPageAccess", giveBack)).toBe(Errno.ENOMEM);
    expect([...vm.access.keys()]).toEqual(["0:2"]);
  });

  it("code breakpoints: one that is taken back leaves room for another", async () => {
    const vm = new FakeVm();
    vm.cpu.mostWatched = 1;
    const tool = await RawTool.hooked("libkvmi", {}, vm);
    expect(await tool.vcpuErr("controlCodeBreakpoint", breakpoint(1))).toBe(0);
    expect(await tool.vcpuErr("controlCodeBreakpoint", breakpoint(2))).toBe(Errno.ENOMEM);
    expect(await tool.vcpuErr("controlCodeBreakpoint", breakpoint(1, 0))).toBe(0);
    expect(await tool.vcpuErr("controlCodeBreakpoint", breakpoint(2))).toBe(0);
  });
});

describe("a tool that floods", () => {
  it("leaves others their turn of the event loop, and has all its answers in the end", async () => {
    const tool = await RawTool.hooked();
    const count = 200_000;
    const one = tool.message(tool.id("getInfo"), zeros(0), 7);
    const flood = new Uint8Array(one.length * count);
    for (let k = 0; k < count; k++) flood.set(one, k * one.length);
    let turns = 0;
    let answered = 0;
    const all = (async () => {
      for (; answered < count; answered++) await tool.reply();
    })();
    tool.write(flood);
    while (answered < count) {
      await settled();
      turns++;
    }
    await all;
    expect(turns).toBeGreaterThan(10);
  });

  it("is not read from while a vCPU has not done what it was sent, beyond so many commands", async () => {
    const tool = await RawTool.hooked("libkvmi", {}, new FakeVm(2));
    const busy = tool.vm.cpu;
    busy.busy = true;
    const command = tool.id("getMtrrType");
    for (let k = 0; k < 4 * MAX_JOBS; k++) tool.send(command, bytes(le(8, 0), le(8, 0)));
    const last = tool.send(tool.id("getInfo"));
    for (let k = 0; k < 10; k++) await settled();
    let answered = 0;
    let seq = 0;
    const replies = (async () => {
      for (; seq !== last; answered++) seq = (await tool.reply()).seq;
    })();
    await settled();
    expect(answered).toBe(0);
    // Each time it comes to a boundary, so many are done.
    while (seq !== last) {
      busy.arrive();
      await settled();
      busy.busy = busy.events !== null;
    }
    await replies;
    expect(answered).toBe(4 * MAX_JOBS + 1);
  });

  it("of a local transport is asked to wait while its bytes are not taken, and told when they are", async () => {
    const [near, far] = transportPair();
    let drained = 0;
    const sink = { data: () => undefined, drained: () => void drained++, closed: () => undefined };
    const slow: Transport = far;
    near.start(sink);
    slow.start({ ...sink, drained: () => undefined });
    slow.pause();
    let written = 0;
    while (near.write(zeros(4096))) written++;
    expect(written).toBeLessThan(1000);
    await settled();
    expect(drained).toBe(0);
    slow.resume();
    await settled();
    expect(drained).toBe(1);
    expect(near.write(zeros(1))).toBe(true);
  });
});

it("a tool that has never read an answer, and goes, is gone", async () => {
  const tool = await RawTool.hooked();
  tool.transport.pause();
  const read = tool.message(tool.id("readPhysical"), bytes(le(8, 0), le(8, 4096)));
  for (let k = 0; k < 1000; k++) tool.write(read);
  for (let k = 0; k < 10; k++) await settled();
  tool.transport.close();
  await tool.served;
  expect(tool.server.hooked).toBe(false);
});

it("what fails inside ends the tool's connection, everything undone, and not the program", async () => {
  const vm = new FakeVm();
  vm.readPhysical = () => {
    throw new TypeError("unforeseen");
  };
  const tool = await RawTool.hooked("libkvmi", {}, vm);
  await tool.err("setPageAccess", pageAccess(1));
  tool.send(tool.id("readPhysical"), bytes(le(8, 0), le(8, 8)));
  await tool.served;
  expect(tool.log.join()).toContain("introspection has failed: TypeError: unforeseen");
  expect(vm.access.size).toBe(0);
});
