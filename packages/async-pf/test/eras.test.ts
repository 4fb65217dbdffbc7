import { describe, expect, it } from "vitest";
import { ApfArea, AsyncPfEnable, type Era, MSR_KVM_ASYNC_PF_EN, WAKE_ALL } from "../src/index.js";
import { FakeGuest } from "./fake-guest.js";
import { FakeVm } from "./fakes.js";

const ERAS = ["before", "seed", "after"] as const;
/** Reasons up to 5.7. */
const [MISSING, READY] = [1, 2] as const;
const OLD_ENABLE = "wrmsr 0 4b564d02 0:200";

describe("before, at and after the patch that kept the #PF out of kernel mode", () => {
  it.each<[Era, boolean, string]>([
    ["before", false, `${OLD_ENABLE}5`],
    ["before", true, `${OLD_ENABLE}7`],
    ["seed", false, `${OLD_ENABLE}5`],
    ["seed", true, `${OLD_ENABLE}5`],
    ["after", true, `${OLD_ENABLE}d`],
  ])("%s, preemptible %s: what EN is written with", (era, preemptible, write) => {
    const g = new FakeGuest({ era, preemptible });
    g.guest.online(0);
    expect(g.taken()).toEqual(era === "after" ? ["wrmsr 0 4b564d06 0:f3", write] : [write]);
  });

  it.each(ERAS)("%s: in user mode the task sleeps", (era) => {
    for (const preemptible of [false, true])
      expect(new FakeGuest({ era, preemptible }).online(0).fault(0, 0x1000).kind).toBe("sleep");
  });

  it.each<[boolean, number, "sleep" | "halt"]>([
    [false, 0, "halt"],
    [false, 1, "halt"],
    [true, 0, "sleep"],
    [true, 1, "halt"],
  ])("before: in kernel mode, preemptible %s, preempt count %i: %s", (preemptible, preemptCount, kind) => {
    const g = new FakeGuest({ era: "before", preemptible }).online(0);
    expect(g.fault(0, 0x1000, { userMode: false, preemptCount }).kind).toBe(kind);
  });

  it.each(["seed", "after"] as const)("%s: in kernel mode the guest ends", (era) => {
    const g = new FakeGuest({ era, preemptible: true }).online(0);
    expect(() => g.fault(0, 0x1000, { userMode: false })).toThrow(
      expect.objectContaining({ name: "GuestPanic", code: "kernel-mode" }),
    );
  });

  it.each(ERAS)("%s: with interrupts off the guest ends", (era) => {
    const g = new FakeGuest({ era }).online(0);
    expect(() => g.fault(0, 0x1000, { interruptsEnabled: false })).toThrow(
      expect.objectContaining({ code: "interrupts-off" }),
    );
  });

  it("before: who halts is woken by an interrupt that makes its CPU look again", () => {
    const g = new FakeGuest({ era: "before" }).online(0, 1);
    const outcome = g.fault(0, 0x1000, { userMode: false });
    expect(outcome).toMatchObject({ kind: "halt", node: { halts: true, hashed: true } });
    expect([g.fault(1, 0x1000, {}, READY), g.taken()]).toEqual([{ kind: "ready" }, ["reschedule 0"]]);
    expect(outcome).toMatchObject({ node: { hashed: false } });
  });

  it.each(["before", "seed"] as const)("%s: a page that is there is told by a #PF with another reason", (era) => {
    const g = new FakeGuest({ era }).online(0);
    g.fault(0, 0x1000, {}, MISSING);
    g.fault(0, 0x2000, {}, MISSING);
    expect([g.fault(0, 0x1000, { userMode: false }, READY), g.taken()]).toEqual([
      { kind: "ready" },
      ["wake task 1000"],
    ]);
    expect([g.fault(0, WAKE_ALL, {}, READY), g.taken()]).toEqual([{ kind: "ready" }, ["wake task 2000"]]);
    // Too early: noted, as ever.
    expect([g.fault(0, 0x3000, {}, READY), g.fault(0, 0x3000)]).toEqual([{ kind: "ready" }, { kind: "retry" }]);
    g.memory = 0;
    expect(g.fault(0, 0x4000, {}, READY)).toEqual({ kind: "spin" });
    g.memory = 1;
    // Nothing is acknowledged: there is no such MSR yet.
    expect([g.guest.spin(0), g.taken()]).toEqual(["done", []]);
    expect(g.word(0, ApfArea.Token)).toBe(0);
  });

  it.each(["before", "seed"] as const)(
    "%s: a reason that is neither of the two makes it the guest's own #PF",
    (era) => {
      const g = new FakeGuest({ era }).online(0);
      expect([3, 4].map((reason) => g.fault(0, 0x1000, { interruptsEnabled: false }, reason).kind)).toEqual([
        "ordinary",
        "ordinary",
      ]);
      expect([g.word(0, ApfArea.Flags), g.guest.sleepers]).toEqual([0, []]);
    },
  );

  it("an old guest on this host: what it writes is taken, and no #PF ever comes", () => {
    for (const era of ["before", "seed"] as const) {
      const vcpu = new FakeVm().add();
      const g = new FakeGuest({ era, preemptible: true });
      g.guest.online(0);
      const lo = Number.parseInt(g.taken()[0]?.split(":")[1] ?? "", 16);
      expect(vcpu.host.writeMsr(MSR_KVM_ASYNC_PF_EN, lo, 0)).toBe(true);
      expect([vcpu.host.miss(7), vcpu.faults, vcpu.interrupts]).toEqual(["halt", [], []]);
    }
  });

  it("a host that always sends ends a guest with the patch where one before it waits", () => {
    const kernelMiss = (era: Era) => {
      const vcpu = new FakeVm().add().enable(AsyncPfEnable.SendAlways);
      vcpu.cpl = 0;
      expect(vcpu.host.miss(7)).toBe("inject");
      const g = new FakeGuest({ era, preemptible: true }).online(0);
      return () => g.fault(0, vcpu.lastToken ?? 0, { userMode: false }).kind;
    };
    expect(kernelMiss("before")()).toBe("sleep");
    expect(kernelMiss("seed")).toThrow(/kernel mode/);
    expect(kernelMiss("after")).toThrow(/kernel mode/);
  });
});
