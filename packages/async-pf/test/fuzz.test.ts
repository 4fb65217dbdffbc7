import fc from "fast-check";
import { expect, it } from "vitest";
import { ASYNC_PF_PER_VCPU, AsyncPfError, type FetchError, GuestPanic, WAKE_ALL } from "../src/index.js";
import { FakeGuest } from "./fake-guest.js";
import { type FakeVcpu, FakeVm, MEMORY_END } from "./fakes.js";

const u32 = fc.oneof(fc.nat(0xffff_ffff), fc.nat(15), fc.nat(MEMORY_END), fc.constant(0xffff_ffff));
const odd = fc.oneof(fc.nat(20), u32, fc.double(), fc.constantFrom(-1, 2 ** 40, 2 ** 53));
const msr = fc.oneof(fc.constantFrom(0x4b564d02, 0x4b564d06, 0x4b564d07), u32);
const index = fc.nat(2);

const hostCall = fc.oneof(
  fc.record({ call: fc.constant("miss" as const), index, gfn: odd }),
  fc.record({ call: fc.constant("writeMsr" as const), index, msr, lo: u32, hi: fc.oneof(fc.constant(0), u32) }),
  fc.record({ call: fc.constant("readMsr" as const), index, msr }),
  fc.record({ call: fc.constantFrom("wake" as const, "rescan" as const, "reset" as const, "handle" as const), index }),
  fc.record({ call: fc.constantFrom("arrived" as const, "failed" as const), gfn: odd, count: odd }),
  fc.record({ call: fc.constant("retry" as const), gfn: odd }),
  fc.record({ call: fc.constant("restore" as const) }),
  fc.record({ call: fc.constant("cpu" as const), index, bits: fc.nat(0xff) }),
  fc.record({ call: fc.constant("word" as const), gpa: fc.nat(MEMORY_END), value: u32 }),
);
type HostCall = typeof hostCall extends fc.Arbitrary<infer T> ? T : never;

function setCpu(vcpu: FakeVcpu, bits: number): void {
  const bit = (at: number) => ((bits >> at) & 1) !== 0;
  vcpu.cpl = bits & 3;
  vcpu.interruptsAllowed = bit(2);
  vcpu.exceptionPending = bit(3) && bit(2);
  vcpu.paging = bit(4);
  vcpu.guestMode = bit(5);
  vcpu.protectedState = bit(6);
  vcpu.lapicEnabled = bit(7);
}

function perform(f: FakeVm, vcpus: readonly FakeVcpu[], call: HostCall): void {
  const vcpu = ("index" in call ? vcpus[call.index] : vcpus[0]) as FakeVcpu;
  switch (call.call) {
    case "miss":
      vcpu.host.miss(call.gfn);
      break;
    case "writeMsr":
      vcpu.host.writeMsr(call.msr, call.lo, call.hi);
      break;
    case "readMsr":
      vcpu.host.readMsr(call.msr);
      break;
    case "wake":
    case "rescan":
    case "reset":
      vcpu.host[call.call]();
      break;
    case "handle":
      vcpu.handle();
      break;
    case "arrived":
      f.vm.arrived(call.gfn, call.count);
      break;
    case "failed":
      f.vm.failed(call.gfn, "gone", call.count);
      break;
    case "retry":
      f.vm.retry(call.gfn);
      break;
    case "restore":
      f.vm.restore(f.vm.save());
      break;
    case "cpu":
      setCpu(vcpu, call.bits);
      break;
    case "word":
      f.words.write(call.gpa - (call.gpa % 4), call.value);
  }
}

/** What holds at any time. */
function checkHost(f: FakeVm, vcpus: readonly FakeVcpu[]): void {
  const fetching = new Set(f.vm.fetching);
  const failed = new Map(f.vm.failures.map((error: FetchError) => [error.gfn, error]));
  for (const { host, faults } of vcpus) {
    expect(host.queued).toBeLessThanOrEqual(ASYNC_PF_PER_VCPU + 1);
    expect(new Set(faults.map(([, token]) => token)).size).toBe(faults.length);
    expect(faults.every(([code]) => code === 0)).toBe(true);
    expect(host.state === "paused").toBe(host.failure !== null);
    // Whoever stands, stands for what somebody has been asked to bring.
    if (host.state !== "running") expect(fetching.size + failed.size).toBeGreaterThan(0);
  }
  expect([...failed.keys()].some((gfn) => fetching.has(gfn))).toBe(false);
}

it("random calls in any order throw nothing but typed errors, and keep what holds at any time", () => {
  const calls = fc.array(hostCall, { maxLength: 60 });
  const features = fc.constantFrom(0x4410, 0x4010, 0x10, 0);
  fc.assert(
    fc.property(calls, features, fc.boolean(), fc.boolean(), (calls, features, hltExits, reentrant) => {
      const f = new FakeVm({ features, hltExits });
      if (reentrant) f.onFetch = (gfn) => gfn % 3 === 0 && f.vm.arrived(gfn);
      const vcpus = [f.add(0), f.add(1, { lapic: false }), f.add(0xfff)];
      for (const call of calls) {
        try {
          perform(f, vcpus, call);
        } catch (error) {
          expect(error).toBeInstanceOf(AsyncPfError);
        }
        checkHost(f, vcpus);
      }
    }),
    { numRuns: 1000 },
  );
});

it("everything that stands goes on once every frame has come, and every guest that takes its tokens is told each one once", () => {
  const calls = fc.array(hostCall, { maxLength: 60 });
  fc.assert(
    fc.property(calls, (calls) => {
      const f = new FakeVm();
      const vcpus = [f.add(0).enable(), f.add(1).enable(), f.add(0xfff).enable()];
      const told = vcpus.map(() => new Set<number>());
      for (const call of calls) {
        if (call.call === "word" || call.call === "writeMsr" || call.call === "handle") continue;
        try {
          perform(f, vcpus, call);
        } catch (error) {
          expect(error).toBeInstanceOf(AsyncPfError);
        }
      }
      f.vm.arrived(0, 2 ** 40);
      expect(vcpus.map(({ host }) => host.state)).toEqual(["running", "running", "running"]);
      expect([f.vm.fetching, f.vm.failures]).toEqual([[], []]);
      for (const [index, vcpu] of vcpus.entries()) {
        vcpu.lapicEnabled = true;
        vcpu.host.rescan();
        while (vcpu.token !== 0) {
          const token = vcpu.handle() as number;
          // A wake-all may come for each restore.
          expect(token !== WAKE_ALL && told[index]?.has(token)).toBe(false);
          told[index]?.add(token);
        }
        expect(vcpu.host.queued).toBe(0);
      }
    }),
    { numRuns: 1000 },
  );
});

it("random calls of the guest's side end in what its types say: an outcome, a panic, or a typed error", () => {
  const cpu = fc.nat(3);
  const token = fc.oneof(
    fc.nat(3).map((id) => id << 12),
    u32,
  );
  const call = fc.oneof(
    fc.record({ call: fc.constantFrom("online" as const, "offline" as const, "spin" as const), cpu }),
    fc.record({
      call: fc.constant("fault" as const),
      cpu,
      token,
      flags: fc.nat(3),
      user: fc.boolean(),
      on: fc.boolean(),
    }),
    fc.record({ call: fc.constant("ready" as const), cpu, token, memory: fc.nat(1) }),
  );
  const eras = fc.constantFrom("before" as const, "seed" as const, "after" as const);
  fc.assert(
    fc.property(fc.array(call, { maxLength: 60 }), eras, fc.boolean(), (calls, era, preemptible) => {
      const g = new FakeGuest({ era, preemptible });
      for (const call of calls) {
        try {
          if (call.call === "fault")
            g.fault(call.cpu, call.token, { userMode: call.user, interruptsEnabled: call.on }, call.flags);
          else if (call.call === "ready") {
            g.memory = call.memory;
            g.ready(call.cpu, call.token);
          } else g.guest[call.call](call.cpu);
        } catch (error) {
          expect(error instanceof GuestPanic || (error instanceof AsyncPfError && error.code === "order")).toBe(true);
        }
        const tokens = g.guest.sleepers.map(({ token }) => token);
        expect(new Set(tokens).size).toBe(tokens.length);
        expect(g.guest.sleepers.every(({ hashed }) => hashed)).toBe(true);
      }
    }),
    { numRuns: 1000 },
  );
});
