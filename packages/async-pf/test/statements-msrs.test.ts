import { describe, expect, it } from "vitest";
import {
  AsyncPfEnable,
  KvmFeature,
  MSR_KVM_ASYNC_PF_ACK,
  MSR_KVM_ASYNC_PF_EN,
  MSR_KVM_ASYNC_PF_INT,
  offeredFeatures,
  WAKE_ALL,
} from "../src/index.js";
import { ALL_FEATURES, FakeVm, MEMORY_END, ON, VECTOR } from "./fakes.js";

const MSRS = [MSR_KVM_ASYNC_PF_EN, MSR_KVM_ASYNC_PF_INT, MSR_KVM_ASYNC_PF_ACK];

describe("statements about MSRs (kvm_para.h, msr.rst)", () => {
  it.each([0x10, 0x20, 0x30])("1: a write of EN with bits 4 or 5 (0x%x) is a #GP and changes nothing", (bits) => {
    const vcpu = new FakeVm().add();
    expect(vcpu.writeEnable(ON | bits)).toBe(false);
    expect(vcpu.host.readMsr(MSR_KVM_ASYNC_PF_EN)).toBe(0);
    expect(vcpu.interrupts).toEqual([]);
  });

  it("2: bit 3 of EN without bit 14 of CPUID is a #GP; so is bit 2 without bit 10", () => {
    const noInt = new FakeVm({ features: KvmFeature.AsyncPf | KvmFeature.AsyncPfVmexit }).add();
    expect(noInt.writeEnable(ON)).toBe(false);
    expect(noInt.writeEnable(AsyncPfEnable.Enabled | AsyncPfEnable.DeliveryAsPfVmexit)).toBe(true);
    const noVmexit = new FakeVm({ features: KvmFeature.AsyncPf | KvmFeature.AsyncPfInt }).add();
    expect(noVmexit.writeEnable(ON | AsyncPfEnable.DeliveryAsPfVmexit)).toBe(false);
    expect(noVmexit.writeEnable(ON)).toBe(true);
  });

  it("3: a write of INT above 255 is a #GP", () => {
    const vcpu = new FakeVm().add();
    expect([vcpu.writeInt(0x100), vcpu.host.writeMsr(MSR_KVM_ASYNC_PF_INT, 0, 1)]).toEqual([false, false]);
    expect(vcpu.writeInt(0xff)).toBe(true);
    expect(vcpu.host.readMsr(MSR_KVM_ASYNC_PF_INT)).toBe(0xff);
  });

  it("4: without their bits of CPUID the MSRs are not there", () => {
    const none = new FakeVm({ features: 0 }).add();
    expect(MSRS.map((msr) => none.host.readMsr(msr))).toEqual([-1, -1, -1]);
    expect(MSRS.map((msr) => none.host.writeMsr(msr, 0, 0))).toEqual([false, false, false]);
    const old = new FakeVm({ features: KvmFeature.AsyncPf }).add();
    expect(MSRS.map((msr) => old.host.readMsr(msr))).toEqual([0, -1, -1]);
    expect(MSRS.map((msr) => old.host.writeMsr(msr, 0, 0))).toEqual([true, false, false]);
    const all = new FakeVm().add();
    expect(MSRS.map((msr) => all.host.readMsr(msr))).toEqual([0, 0, 0]);
    expect([all.host.readMsr(MSR_KVM_ASYNC_PF_EN + 1), all.host.writeMsr(MSR_KVM_ASYNC_PF_EN + 1, 0, 0)]).toEqual([
      -1,
      false,
    ]);
  });

  it("4: CPUID offers bits 4 and 14 with a local APIC and lazy memory only, bit 10 with nested guests", () => {
    expect(offeredFeatures({ lapic: true, lazy: true })).toBe(0x4010);
    expect(offeredFeatures({ lapic: true, lazy: true, nested: true })).toBe(0x4410);
    expect(offeredFeatures({ lapic: false, lazy: true, nested: true })).toBe(0);
    expect(offeredFeatures({ lapic: true, lazy: false })).toBe(0);
  });

  it("5: EN switched on gives one interrupt with token ~0, though nobody waits", () => {
    const vcpu = new FakeVm().add();
    vcpu.writeInt(VECTOR);
    expect(vcpu.writeEnable(ON)).toBe(true);
    expect([vcpu.interrupts, vcpu.token, vcpu.host.pageReadyPending]).toEqual([[VECTOR], WAKE_ALL, true]);
    expect(vcpu.handle()).toBe(WAKE_ALL);
    expect([vcpu.interrupts, vcpu.token, vcpu.host.queued, vcpu.host.pageReadyPending]).toEqual([[], 0, 0, false]);
  });

  it("EN written without interrupts is accepted, and nothing is delivered", () => {
    const vcpu = new FakeVm().add();
    expect(vcpu.writeEnable(AsyncPfEnable.Enabled | AsyncPfEnable.SendAlways)).toBe(true);
    expect([vcpu.host.area, vcpu.host.miss(7), vcpu.interrupts, vcpu.faults]).toEqual([null, "halt", [], []]);
  });

  it("EN is a #GP where there is no memory, and reads as what was written before", () => {
    const vcpu = new FakeVm().add();
    vcpu.writeEnable(ON);
    const before = vcpu.host.readMsr(MSR_KVM_ASYNC_PF_EN);
    expect(vcpu.host.writeMsr(MSR_KVM_ASYNC_PF_EN, MEMORY_END | ON, 0)).toBe(false);
    expect(vcpu.host.writeMsr(MSR_KVM_ASYNC_PF_EN, ON, 0xffff_ffff)).toBe(false);
    expect([vcpu.host.readMsr(MSR_KVM_ASYNC_PF_EN), vcpu.host.hi]).toEqual([before, 0]);
    // Switched off, the address does not matter.
    expect(vcpu.host.writeMsr(MSR_KVM_ASYNC_PF_EN, 0x40, 0x8000_0000)).toBe(true);
    expect([vcpu.host.readMsr(MSR_KVM_ASYNC_PF_EN), vcpu.host.hi]).toEqual([0x40, 0x8000_0000]);
  });

  it("without a local APIC EN takes 0 only, INT nothing, and every miss is waited for", () => {
    const vcpu = new FakeVm().add(0, { lapic: false });
    expect([vcpu.host.writeMsr(MSR_KVM_ASYNC_PF_EN, 0, 0), vcpu.writeEnable(ON), vcpu.writeInt(VECTOR)]).toEqual([
      true,
      false,
      false,
    ]);
    expect([vcpu.ack(), vcpu.host.miss(7)]).toEqual([true, "wait"]);
  });

  it("ACK without bit 0 does nothing, and reads as 0", () => {
    const vcpu = new FakeVm().add();
    vcpu.writeEnable(ON);
    vcpu.token = 0;
    expect(vcpu.host.writeMsr(MSR_KVM_ASYNC_PF_ACK, 2, 0)).toBe(true);
    expect([vcpu.host.pageReadyPending, vcpu.host.readMsr(MSR_KVM_ASYNC_PF_ACK)]).toEqual([true, 0]);
  });

  it("EN switched on where a token lies from before: its interrupt comes first, then the one of the wake-all", () => {
    const vcpu = new FakeVm().add();
    vcpu.token = 0x5000;
    vcpu.writeInt(VECTOR);
    vcpu.writeEnable(ON);
    expect([vcpu.interrupts, vcpu.handle(), vcpu.interrupts, vcpu.handle()]).toEqual([
      [VECTOR],
      0x5000,
      [VECTOR],
      WAKE_ALL,
    ]);
  });

  it("EN written again while something is done already adds no second wake-all", () => {
    const vcpu = new FakeVm().add();
    vcpu.writeEnable(ON);
    vcpu.writeEnable(ON);
    vcpu.writeEnable(ON);
    expect(vcpu.host.queued).toBe(1);
    expect([vcpu.handle(), vcpu.handle(), vcpu.token]).toEqual([WAKE_ALL, WAKE_ALL, 0]);
  });

  it("features that are not of asynchronous page faults are refused", () => {
    for (const features of [1, -1, ALL_FEATURES + 0.5, 2 ** 32 + ALL_FEATURES])
      expect(() => new FakeVm({ features })).toThrow(expect.objectContaining({ code: "option" }));
  });
});
