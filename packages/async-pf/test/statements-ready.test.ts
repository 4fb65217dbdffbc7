import { describe, expect, it } from "vitest";
import { FetchError, WAKE_ALL } from "../src/index.js";
import { FakeVm, ON, VECTOR } from "./fakes.js";

describe("statements about pages that are there (virt/kvm/async_pf.c, arch/x86/kvm/x86.c)", () => {
  it("15: while a token lies in the area no other one is delivered; taken out and acknowledged, the next comes", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(7);
    vcpu.host.miss(8);
    f.vm.arrived(8);
    f.vm.arrived(7);
    expect([vcpu.token, vcpu.interrupts, vcpu.host.queued]).toEqual([0x2000, [VECTOR], 1]);
    expect([vcpu.handle(), vcpu.token, vcpu.interrupts]).toEqual([0x2000, 0x1000, [VECTOR]]);
    expect([vcpu.handle(), vcpu.token, vcpu.interrupts, vcpu.host.queued]).toEqual([0x1000, 0, [], 0]);
  });

  it("16: an acknowledgement without the token taken out delivers nothing", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(7);
    vcpu.host.miss(8);
    f.vm.arrived(7, 2);
    vcpu.ack();
    expect([vcpu.token, vcpu.interrupts, vcpu.host.queued]).toEqual([0x1000, [VECTOR], 1]);
  });

  it("16: nor does a token taken out without an acknowledgement while something is done already", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    for (const gfn of [7, 8, 9]) vcpu.host.miss(gfn);
    f.vm.arrived(7, 2);
    vcpu.token = 0;
    f.vm.arrived(9);
    expect([vcpu.token, vcpu.host.queued]).toEqual([0, 2]);
    vcpu.ack();
    expect([vcpu.token, vcpu.host.queued]).toEqual([0x2000, 1]);
  });

  it("18: EN=0 with misses outstanding: nothing is delivered, and the frames come all the same", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(7);
    vcpu.host.miss(8);
    f.vm.arrived(8);
    vcpu.handle();
    vcpu.writeEnable(0);
    expect([vcpu.host.queued, f.vm.fetching, vcpu.host.area]).toEqual([0, [7], null]);
    f.vm.arrived(7);
    expect([vcpu.token, vcpu.interrupts, f.vm.fetching]).toEqual([0, [], []]);
  });

  it("18: what is done but not told is dropped too", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(7);
    vcpu.host.miss(8);
    f.vm.arrived(7, 2);
    vcpu.writeEnable(0);
    expect([vcpu.handle(), vcpu.token, vcpu.interrupts]).toEqual([0x1000, 0, []]);
  });

  it("19: the interrupt goes to the vCPU that missed", () => {
    const f = new FakeVm();
    const [a, b] = [f.add(0).enable(), f.add(1).enable()];
    b.host.miss(7);
    f.vm.arrived(7);
    expect([a.interrupts, a.token, b.interrupts, b.token]).toEqual([[], 0, [VECTOR], 0x1001]);
  });

  it("19: a frame that two vCPUs missed is told to both, each by its own token", () => {
    const f = new FakeVm();
    const [a, b] = [f.add(0).enable(), f.add(1).enable()];
    a.host.miss(7);
    b.host.miss(7);
    f.vm.arrived(7);
    expect([a.token, b.token]).toEqual([0x1000, 0x1001]);
  });

  it("a chunk completes every token that is in it, in the order of the misses, and nothing beside it", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    for (const gfn of [0x1f, 0x20, 0x0f, 0x10]) vcpu.host.miss(gfn);
    f.vm.arrived(0x10, 16);
    expect([vcpu.handle(), vcpu.handle(), vcpu.token, vcpu.host.queued]).toEqual([0x1000, 0x4000, 0, 2]);
    expect(f.vm.fetching).toEqual([0x20, 0x0f]);
  });

  it("21: with the local APIC disabled nothing is told and nothing wakes the vCPU; enabled, it is", () => {
    const vcpu = new FakeVm().add();
    vcpu.lapicEnabled = false;
    vcpu.writeInt(VECTOR);
    vcpu.writeEnable(ON);
    vcpu.cpl = 0;
    vcpu.host.miss(7);
    vcpu.host.rescan();
    expect([vcpu.interrupts, vcpu.token, vcpu.host.state, vcpu.host.queued]).toEqual([[], 0, "halted", 2]);
    vcpu.lapicEnabled = true;
    vcpu.host.rescan();
    expect([vcpu.interrupts, vcpu.token, vcpu.host.queued]).toEqual([[VECTOR], WAKE_ALL, 1]);
  });

  it("21: an interrupt that a disabled local APIC has lost is raised again when it is enabled", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(7);
    f.vm.arrived(7);
    vcpu.interrupts = [];
    vcpu.host.rescan();
    expect([vcpu.interrupts, vcpu.token, vcpu.host.queued]).toEqual([[VECTOR], 0x1000, 0]);
  });

  it("27: a reset clears MSRs, queue and halt; tokens are counted on", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(7);
    vcpu.cpl = 0;
    vcpu.host.miss(8);
    vcpu.host.reset();
    expect([vcpu.host.state, vcpu.host.queued, vcpu.host.area, vcpu.host.pageReadyPending]).toEqual([
      "running",
      0,
      null,
      false,
    ]);
    expect(f.vm.save().vcpus).toEqual([{ id: 0, enable: [0, 0], vector: 0, nextId: 3, pageReadyPending: false }]);
    f.vm.arrived(7, 2);
    expect([vcpu.token, vcpu.interrupts]).toEqual([0, []]);
  });

  it("30: a frame that is there before the backend's fetch returns is told exactly once", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    f.onFetch = (gfn) => f.vm.arrived(gfn);
    expect([vcpu.host.miss(7), vcpu.faults.length, vcpu.interrupts, vcpu.token]).toEqual([
      "inject",
      1,
      [VECTOR],
      0x1000,
    ]);
    f.vm.arrived(7);
    expect([vcpu.handle(), vcpu.token, vcpu.interrupts]).toEqual([0x1000, 0, []]);
  });

  it("30: nor does a vCPU stand for it that is halted or waits", () => {
    const f = new FakeVm();
    const vcpu = f.add();
    f.onFetch = (gfn) => f.vm.arrived(gfn);
    expect([vcpu.host.miss(7), vcpu.host.state]).toEqual(["halt", "running"]);
    vcpu.interruptsAllowed = false;
    expect([vcpu.host.miss(7), vcpu.host.state]).toEqual(["wait", "running"]);
  });

  it("frames that nobody asked for may come", () => {
    const f = new FakeVm();
    f.add().enable();
    f.vm.arrived(0, 2 ** 40);
    for (const [first, count] of [
      [0, 0],
      [0, 0.5],
      [1, 2 ** 40],
      [-1, 1],
    ] as const)
      expect(() => f.vm.arrived(first, count)).toThrow(expect.objectContaining({ code: "gfn" }));
  });
});

describe("29: a frame that cannot be brought", () => {
  it("pauses the vCPU that halts or waits for it, and is reported", () => {
    const f = new FakeVm();
    const [a, b] = [f.add(0), f.add(1)];
    const cause = new Error("HTTP 503");
    a.host.miss(7);
    b.interruptsAllowed = false;
    b.host.miss(7);
    f.vm.failed(7, cause);
    expect(f.reports).toHaveLength(1);
    expect(f.reports[0]).toBeInstanceOf(FetchError);
    expect(f.reports[0]).toMatchObject({ code: "fetch", gfn: 7, vcpus: [0, 1], cause });
    expect([a.host.state, b.host.state, a.host.failure, f.vm.failures]).toEqual([
      "paused",
      "paused",
      f.reports[0],
      f.reports,
    ]);
    // No event lets it go on without the frame.
    expect([a.host.wake(), a.host.state]).toEqual([false, "paused"]);
    expect(() => a.host.miss(8)).toThrow(expect.objectContaining({ code: "order" }));
  });

  it("pauses the vCPU whose guest has a task that sleeps for it: nobody could end that task", () => {
    const f = new FakeVm();
    const [a, b] = [f.add(0).enable(), f.add(1).enable()];
    a.host.miss(7);
    f.vm.failed(7, "gone");
    expect([a.host.state, b.host.state, a.token, f.reports[0]?.vcpus]).toEqual(["paused", "running", 0, [0]]);
  });

  it("lets them go on when it is asked for again and comes", () => {
    const f = new FakeVm();
    const [a, b] = [f.add(0).enable(), f.add(1)];
    a.host.miss(7);
    b.host.miss(7);
    f.vm.failed(7, "gone");
    f.vm.retry(7);
    expect([a.host.state, b.host.state, f.fetched, f.vm.failures]).toEqual(["running", "halted", [7, 7], []]);
    f.vm.failed(7, "gone again");
    expect([a.host.state, b.host.state, f.reports.length]).toEqual(["paused", "paused", 2]);
    // It may come without having been asked for.
    f.vm.arrived(7);
    expect([a.host.state, b.host.state, a.token]).toEqual(["running", "running", 0x1000]);
    expect(() => f.vm.retry(7)).toThrow(expect.objectContaining({ code: "order" }));
  });

  it("is not asked for by the next vCPU that misses it, which is paused as well", () => {
    const f = new FakeVm();
    const [a, b] = [f.add(0).enable(), f.add(1).enable()];
    a.host.miss(7);
    f.vm.failed(7, "gone");
    expect([b.host.miss(7), b.host.state, f.fetched]).toEqual(["inject", "paused", [7]]);
  });

  it("is a failure too if the backend throws", () => {
    const f = new FakeVm();
    const vcpu = f.add();
    f.onFetch = () => {
      throw new TypeError("no such file");
    };
    expect([vcpu.host.miss(7), vcpu.host.state, f.vm.fetching]).toEqual(["halt", "paused", []]);
    expect(f.reports[0]?.cause).toBeInstanceOf(TypeError);
  });

  it("pauses nobody when nobody waits any more, but is reported; the next miss asks again", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(7);
    vcpu.writeEnable(0);
    f.vm.failed(7, "gone");
    expect([vcpu.host.state, f.reports[0]?.vcpus, f.vm.failures]).toEqual(["running", [], []]);
    expect([vcpu.host.miss(7), f.fetched]).toEqual(["halt", [7, 7]]);
  });

  it("is forgotten with the last who waited for it", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(7);
    f.vm.failed(7, "gone");
    vcpu.host.reset();
    expect([vcpu.host.state, f.vm.failures]).toEqual(["running", []]);
    expect([vcpu.host.miss(7), vcpu.host.state, f.fetched]).toEqual(["halt", "halted", [7, 7]]);
  });

  it("of a chunk, each frame that was asked for is reported; others are passed over", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(0x11);
    vcpu.host.miss(0x13);
    f.vm.failed(0x10, "gone", 16);
    expect(f.reports.map(({ gfn }) => gfn)).toEqual([0x11, 0x13]);
    f.vm.failed(0x10, "gone", 16);
    expect(f.reports).toHaveLength(2);
  });
});
