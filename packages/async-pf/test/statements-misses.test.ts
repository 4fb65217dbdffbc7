import { describe, expect, it } from "vitest";
import { MAX_TOKEN_ID, TokenCounter } from "../src/host/token.js";
import { ApfArea, ApfReason, ASYNC_PF_PER_VCPU, AsyncPfEnable, WAKE_ALL } from "../src/index.js";
import { FakeVm } from "./fakes.js";

const LEFT = "(the machine's tests show the rest)";

describe("statements about misses (virt/kvm/async_pf.c, arch/x86/kvm/x86.c)", () => {
  it(`6: at CPL 3 with IF=1 a miss is a #PF: error code 0, CR2 = token, flags = 1; RIP stays ${LEFT}`, () => {
    const vcpu = new FakeVm().add().enable();
    expect(vcpu.host.miss(7)).toBe("inject");
    expect([vcpu.faults, vcpu.flags, vcpu.host.state]).toEqual([[[0, 0x1000]], ApfReason.PageNotPresent, "running"]);
    expect(vcpu.host.queued).toBe(1);
  });

  it("6: the #PF has been asked for before the backend is", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    let faults = 0;
    f.onFetch = () => {
      faults = vcpu.faults.length;
    };
    vcpu.host.miss(7);
    expect([faults, f.fetched]).toEqual([1, [7]]);
  });

  it("7: at CPL 0 without SEND_ALWAYS there is no #PF: the vCPU is halted, events wake it, the frame lets it go on", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.cpl = 0;
    expect([vcpu.host.miss(7), vcpu.host.state, vcpu.faults, vcpu.flags]).toEqual(["halt", "halted", [], 0]);
    expect([vcpu.host.wake(), vcpu.host.state, vcpu.host.wake()]).toEqual([true, "running", false]);
    // The instruction is tried again, as the page is not there yet.
    expect([vcpu.host.miss(7), vcpu.host.state]).toEqual(["halt", "halted"]);
    f.vm.arrived(7);
    expect([vcpu.host.state, vcpu.interrupts, vcpu.token, f.fetched]).toEqual(["running", [], 0, [7]]);
  });

  it("7: any frame that comes lets a halted vCPU try again", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(6);
    vcpu.cpl = 0;
    vcpu.host.miss(7);
    f.vm.arrived(6);
    expect([vcpu.host.state, vcpu.host.miss(7)]).toEqual(["running", "halt"]);
  });

  it("8: at CPL 0 with SEND_ALWAYS and IF=1 it is a #PF", () => {
    const vcpu = new FakeVm().add().enable(AsyncPfEnable.SendAlways);
    vcpu.cpl = 0;
    expect([vcpu.host.miss(7), vcpu.faults.length]).toEqual(["inject", 1]);
  });

  it("a vCPU whose registers are hidden is treated as at CPL 0", () => {
    const vcpu = new FakeVm().add().enable();
    vcpu.protectedState = true;
    expect(vcpu.host.miss(7)).toBe("halt");
    vcpu.host.wake();
    vcpu.enable(AsyncPfEnable.SendAlways);
    expect(vcpu.host.miss(8)).toBe("inject");
  });

  it("9: with IF=0 there is neither a #PF nor a halt: the vCPU stands until the frame is there", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable(AsyncPfEnable.SendAlways);
    vcpu.interruptsAllowed = false;
    expect([vcpu.host.miss(7), vcpu.host.state, vcpu.faults, vcpu.host.queued]).toEqual(["wait", "waiting", [], 0]);
    expect([vcpu.host.wake(), vcpu.host.state]).toEqual([false, "waiting"]);
    f.vm.arrived(8);
    expect(vcpu.host.state).toBe("waiting");
    f.vm.arrived(7);
    expect([vcpu.host.state, vcpu.interrupts]).toEqual(["running", []]);
  });

  it("9: nor does a frame that the guest was told of let it go on", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(6);
    vcpu.interruptsAllowed = false;
    vcpu.host.miss(7);
    f.vm.arrived(6);
    expect([vcpu.host.state, vcpu.token]).toEqual(["waiting", 0x1000]);
  });

  it(`10: the shadow of STI is as IF=0: the port says that no interrupt is allowed ${LEFT}`, () => {
    const vcpu = new FakeVm().add().enable();
    vcpu.interruptsAllowed = false;
    expect(vcpu.host.miss(7)).toBe("wait");
  });

  it(`11: a miss while an event is delivered is waited for ${LEFT}`, () => {
    const vcpu = new FakeVm().add().enable();
    vcpu.exceptionPending = true;
    expect([vcpu.host.miss(7), vcpu.faults]).toEqual(["wait", []]);
  });

  it("12: a second miss of a frame that is on its way has no second token: the vCPU is halted", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    expect([vcpu.host.miss(7), vcpu.host.miss(7)]).toEqual(["inject", "halt"]);
    expect([vcpu.faults.length, vcpu.host.queued, f.fetched]).toEqual([1, 1, [7]]);
  });

  it("12: a frame that came, was not told yet and has gone again is asked for again", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(6);
    vcpu.host.miss(7);
    f.vm.arrived(6, 2);
    expect([vcpu.token, vcpu.host.queued, vcpu.host.miss(7), f.fetched]).toEqual([0x1000, 1, "halt", [6, 7, 7]]);
    f.vm.arrived(7);
    expect([vcpu.host.state, vcpu.handle(), vcpu.handle(), vcpu.token]).toEqual(["running", 0x1000, 0x2000, 0]);
  });

  it("13: the 65th frame at once is waited for", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    const decisions = Array.from({ length: ASYNC_PF_PER_VCPU + 1 }, (_, gfn) => vcpu.host.miss(gfn));
    expect(decisions).toEqual([...Array.from({ length: ASYNC_PF_PER_VCPU }, () => "inject"), "wait"]);
    f.vm.arrived(ASYNC_PF_PER_VCPU);
    f.vm.arrived(0);
    expect(vcpu.host.miss(100)).toBe("inject");
  });

  it("13: a wake-all that waits counts as one of them", () => {
    const vcpu = new FakeVm().add();
    vcpu.lapicEnabled = false;
    vcpu.enable();
    for (let gfn = 0; gfn < ASYNC_PF_PER_VCPU - 1; gfn++) expect(vcpu.host.miss(gfn)).toBe("inject");
    expect(vcpu.host.miss(63)).toBe("wait");
  });

  it("13: each vCPU has a queue of its own, and the frame is asked for once", () => {
    const f = new FakeVm();
    const [a, b] = [f.add(0).enable(), f.add(1).enable()];
    expect([a.host.miss(7), b.host.miss(7), a.lastToken, b.lastToken, f.fetched]).toEqual([
      "inject",
      "inject",
      0x1000,
      0x1001,
      [7],
    ]);
  });

  it("14: tokens are unique, have the vCPU's number in their low 12 bits, and are neither 0 nor ~0", () => {
    const f = new FakeVm();
    const vcpu = f.add(0xfff).enable();
    const tokens = new Set<number>();
    const [state] = f.vm.save().vcpus;
    f.vm.restore({ vcpus: [{ ...state, nextId: 0xf_fff0 }] });
    for (let gfn = 0; gfn < 40; gfn++) {
      expect(vcpu.host.miss(gfn)).toBe("inject");
      tokens.add(vcpu.lastToken as number);
    }
    expect(tokens.size).toBe(40);
    expect([...tokens].every((token) => token % 0x1000 === 0xfff && token >>> 12 !== 0 && token !== WAKE_ALL)).toBe(
      true,
    );
    expect(tokens.has(0xffff_efff) && tokens.has(0x1fff)).toBe(true);
  });

  it("14: a token that is still in use is passed over when the count comes round", () => {
    const tokens = new TokenCounter(5);
    const live = new Set([0x1005, 0x2005]);
    tokens.nextId = MAX_TOKEN_ID;
    expect([1, 2].map(() => tokens.next((token) => live.has(token)))).toEqual([0xffff_f005, 0x3005]);
  });

  it("14: that is so for a miss: the first of a million and one is still outstanding", () => {
    const f = new FakeVm();
    const vcpu = f.add();
    vcpu.host.miss(0);
    vcpu.host.wake();
    for (let id = 2; id <= MAX_TOKEN_ID; id++) {
      vcpu.host.miss(1);
      f.vm.arrived(1);
    }
    expect(f.vm.save().vcpus[0]?.nextId).toBe(1);
    vcpu.host.miss(1);
    expect(f.vm.save().vcpus[0]?.nextId).toBe(3);
  });

  it("a #PF is not given where its reason cannot be written: the vCPU is halted", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    f.words.writable = false;
    expect([vcpu.host.miss(7), vcpu.faults]).toEqual(["halt", []]);
  });

  it("22: with CR0.PG=0 there is no #PF; what is done is looked at again when it is set", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.paging = false;
    expect([vcpu.host.miss(7), vcpu.faults]).toEqual(["halt", []]);
    vcpu.host.wake();
    vcpu.paging = true;
    vcpu.host.miss(8);
    vcpu.token = 0x7777;
    f.vm.arrived(7, 2);
    expect(vcpu.host.queued).toBe(2);
    vcpu.token = 0;
    vcpu.host.rescan();
    expect([vcpu.token, vcpu.interrupts.length, vcpu.host.queued]).toEqual([0x2000, 1, 0]);
  });

  it(`23: a page of the guest's page tables is a frame as any other: the way is the same ${LEFT}`, () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    expect([vcpu.host.miss(2 ** 40 - 1), vcpu.lastToken]).toEqual(["inject", 0x1000]);
    f.vm.arrived(2 ** 40 - 1);
    expect(vcpu.token).toBe(0x1000);
  });

  it(`24, 25: a miss changes no register and no byte but flags in the area and CR2's token ${LEFT}`, () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    const before = new Map(f.words.values);
    vcpu.host.miss(7);
    expect(f.words.values).toEqual(before.set(vcpu.area + ApfArea.Flags, ApfReason.PageNotPresent));
    expect(vcpu.faults).toEqual([[0, 0x1000]]);
  });

  it(`28: in L2 without bit 2 the vCPU is halted; with it, it is a #PF, whatever L2's paging ${LEFT}`, () => {
    const vcpu = new FakeVm().add().enable();
    vcpu.guestMode = true;
    expect([vcpu.host.miss(7), vcpu.faults]).toEqual(["halt", []]);
    vcpu.host.wake();
    vcpu.enable(AsyncPfEnable.DeliveryAsPfVmexit);
    vcpu.paging = false;
    expect([vcpu.host.miss(8), vcpu.faults.length]).toEqual(["inject", 1]);
  });

  it("where HLT does not leave the guest, what cannot be a #PF is waited for", () => {
    const vcpu = new FakeVm({ hltExits: false }).add().enable();
    expect(vcpu.host.miss(7)).toBe("inject");
    vcpu.cpl = 0;
    expect(vcpu.host.miss(8)).toBe("wait");
  });

  it("a vCPU that does not run cannot miss", () => {
    const vcpu = new FakeVm().add();
    vcpu.host.miss(7);
    expect(() => vcpu.host.miss(8)).toThrow(expect.objectContaining({ code: "order" }));
    for (const gfn of [-1, 0.5, 2 ** 40, Number.NaN])
      expect(() => vcpu.host.miss(gfn)).toThrow(expect.objectContaining({ code: "gfn" }));
  });

  it("vCPUs have numbers that tokens have room for, each its own", () => {
    const f = new FakeVm();
    f.add(3);
    for (const id of [3, -1, 0x1000, 0.5])
      expect(() => f.add(id)).toThrow(expect.objectContaining({ name: "AsyncPfError", code: "vcpu" }));
  });
});
