import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AsyncPfEnable, AsyncPfError, KvmFeature, type VmAsyncPfState, WAKE_ALL } from "../src/index.js";
import { ALL_FEATURES, FakeVm, FakeWords, MEMORY_END, ON, VECTOR } from "./fakes.js";

/** A VM that has what another one saved, and the same memory. */
function restored(from: FakeVm, count: number, prepare: (words: FakeWords) => void = () => undefined) {
  const words = new FakeWords();
  for (const [gpa, value] of from.words.values) words.values.set(gpa, value);
  prepare(words);
  const to = new FakeVm({ words });
  const vcpus = Array.from({ length: count }, (_, id) => to.add(id));
  to.vm.restore(JSON.parse(JSON.stringify(from.vm.save())));
  return { to, vcpus };
}

describe("26: a snapshot with misses outstanding", () => {
  it("restored, every vCPU that is switched on wakes its tasks, and nothing is outstanding", () => {
    const f = new FakeVm();
    const [a, b] = [f.add(0).enable(), f.add(1).enable(), f.add(2)];
    a.host.miss(7);
    b.host.miss(8);
    const { to, vcpus } = restored(f, 3);
    expect(vcpus.map(({ token, interrupts }) => [token, interrupts])).toEqual([
      [WAKE_ALL, [VECTOR]],
      [WAKE_ALL, [VECTOR]],
      [0, []],
    ]);
    expect([to.fetched, to.vm.fetching, vcpus[0]?.handle(), vcpus[0]?.host.queued]).toEqual([[], [], WAKE_ALL, 0]);
  });

  it("the interrupt of a token that lies in the area is raised again; the wake-all comes after it", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(7);
    f.vm.arrived(7);
    const [other] = restored(f, 1).vcpus;
    expect([other?.interrupts, other?.token, other?.host.pageReadyPending]).toEqual([[VECTOR], 0x1000, true]);
    expect([other?.handle(), other?.interrupts, other?.handle(), other?.token]).toEqual([
      0x1000,
      [VECTOR],
      WAKE_ALL,
      0,
    ]);
  });

  it("tokens are counted on, as tasks of the guest may still sleep by earlier ones", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(7);
    const [other] = restored(f, 1).vcpus;
    other?.host.miss(7);
    expect(other?.lastToken).toBe(0x2000);
  });

  it("a vCPU that stood runs, to try again", () => {
    const f = new FakeVm();
    const [a, b] = [f.add(0), f.add(1)];
    a.host.miss(7);
    b.interruptsAllowed = false;
    b.host.miss(7);
    f.vm.failed(7, "gone");
    const state = f.vm.save();
    f.vm.restore(state);
    expect([a.host.state, b.host.state, f.vm.failures, f.vm.fetching]).toEqual(["running", "running", [], []]);
    expect([a.host.miss(7), f.fetched]).toEqual(["halt", [7, 7]]);
  });

  it("what was on its way is asked for anew", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(7);
    f.vm.restore(f.vm.save());
    expect([vcpu.host.miss(7), f.fetched, f.vm.fetching]).toEqual(["inject", [7, 7], [7]]);
  });

  it("with the local APIC disabled the wake-all waits for it", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.lapicEnabled = false;
    f.vm.restore(f.vm.save());
    expect([vcpu.interrupts, vcpu.token]).toEqual([[], 0]);
    vcpu.lapicEnabled = true;
    vcpu.host.rescan();
    expect([vcpu.interrupts, vcpu.token]).toEqual([[VECTOR], WAKE_ALL]);
  });

  it("with the local APIC disabled the interrupt of a token in the area waits for it as well", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(7);
    f.vm.arrived(7);
    vcpu.lapicEnabled = false;
    vcpu.interrupts = [];
    f.vm.restore(f.vm.save());
    vcpu.host.rescan();
    expect(vcpu.interrupts).toEqual([]);
    vcpu.lapicEnabled = true;
    vcpu.host.rescan();
    expect([vcpu.interrupts, vcpu.handle(), vcpu.handle()]).toEqual([[VECTOR], 0x1000, WAKE_ALL]);
  });

  it("nor is it raised once the guest has switched off", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(7);
    f.vm.arrived(7);
    vcpu.lapicEnabled = false;
    vcpu.interrupts = [];
    f.vm.restore(f.vm.save());
    vcpu.writeEnable(0);
    vcpu.lapicEnabled = true;
    vcpu.host.rescan();
    expect(vcpu.interrupts).toEqual([]);
  });

  it("saving changes nothing", () => {
    const f = new FakeVm();
    const vcpu = f.add().enable();
    vcpu.host.miss(7);
    expect(f.vm.save()).toEqual(f.vm.save());
    f.vm.arrived(7);
    expect(vcpu.token).toBe(0x1000);
  });
});

const enable = fc.tuple(
  fc.integer({ min: 0, max: MEMORY_END / 0x40 - 1 }).map((block) => block * 0x40),
  fc.nat(15),
);

describe("properties", () => {
  it("what is saved and restored is saved the same again, whatever came before", () => {
    const act = fc.record({ what: fc.nat(5), gfn: fc.nat(80), id: fc.nat(2) });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 80 }), (acts) => {
        const f = new FakeVm();
        const vcpus = [f.add(0).enable(), f.add(1).enable(), f.add(2)];
        for (const { what, gfn, id } of acts) {
          const vcpu = vcpus[id];
          if (vcpu === undefined) throw new RangeError("no such vCPU");
          if (what === 0) f.vm.arrived(gfn, 4);
          else if (what === 1) vcpu.handle();
          else if (what === 2) vcpu.writeEnable(ON);
          else if (vcpu.host.state === "running") vcpu.host.miss(gfn);
        }
        const saved = f.vm.save();
        expect(JSON.parse(JSON.stringify(saved))).toEqual(saved);
        const again = restored(f, 3).to.vm.save();
        const apart = ({ vcpus }: VmAsyncPfState) => vcpus.map(({ pageReadyPending: _, ...rest }) => rest);
        expect(apart(again)).toEqual(apart(saved));
        // Whoever is switched on has been told to wake everybody, or is about to be.
        for (const [index, { enable }] of again.vcpus.entries())
          expect(again.vcpus[index]?.pageReadyPending).toBe((enable[0] & ON) === ON);
      }),
    );
  });

  it("a write of EN is taken exactly if msr.rst allows it, and reads back", () => {
    const features = fc.subarray([KvmFeature.AsyncPf, KvmFeature.AsyncPfInt, KvmFeature.AsyncPfVmexit]);
    const bits = fc.oneof(
      enable.map(([area, low]) => area + low),
      fc.nat(0xffff_ffff),
    );
    const hi = fc.oneof(fc.constant(0), fc.nat(0xffff_ffff));
    fc.assert(
      fc.property(features, bits, hi, (offered, lo, hi) => {
        const mask = offered.reduce((mask: number, bit) => mask | bit, 0);
        const vcpu = new FakeVm({ features: mask }).add();
        const has = (bit: KvmFeature) => offered.includes(bit);
        const on = (lo & ON) === ON;
        const allowed =
          has(KvmFeature.AsyncPf) &&
          (lo & 0x30) === 0 &&
          ((lo & AsyncPfEnable.DeliveryAsPfVmexit) === 0 || has(KvmFeature.AsyncPfVmexit)) &&
          ((lo & AsyncPfEnable.DeliveryAsInt) === 0 || has(KvmFeature.AsyncPfInt)) &&
          (!on || (hi === 0 && lo < MEMORY_END));
        expect(vcpu.host.writeMsr(0x4b564d02, lo, hi)).toBe(allowed);
        const low = vcpu.host.readMsr(0x4b564d02);
        expect(low).toBe(has(KvmFeature.AsyncPf) ? (allowed ? lo : 0) : -1);
        if (allowed) expect(vcpu.host.hi).toBe(hi);
        expect(vcpu.host.area).toBe(allowed && on ? lo - (lo % 0x40) : null);
      }),
    );
  });

  it("a state out of range is refused, and changes nothing", () => {
    const good = { id: 0, enable: [0x1000 | ON, 0], vector: VECTOR, nextId: 5, pageReadyPending: false };
    const wrong = fc.oneof(
      fc.constantFrom<object>(
        { id: 1 },
        { enable: [0x1000] },
        { enable: [0x1000 | ON | 0x10, 0] },
        { enable: [MEMORY_END | ON, 0] },
        { enable: [ON, 0x10_0000] },
        { enable: "00" },
        { vector: 256 },
        { nextId: 0 },
        { nextId: 2 ** 20 },
        { pageReadyPending: 1 },
      ),
      fc.record({ nextId: fc.oneof(fc.double({ min: 0.1, max: 0.9 }), fc.string(), fc.integer({ max: 0 })) }),
      fc.record({ vector: fc.oneof(fc.integer({ min: 256 }), fc.integer({ max: -1 }), fc.constant(null)) }),
      fc.record({ enable: fc.tuple(fc.nat(), fc.oneof(fc.integer({ max: -1 }), fc.constant(2 ** 32))) }),
    );
    fc.assert(
      fc.property(wrong, fc.boolean(), (change, second) => {
        const f = new FakeVm();
        const vcpu = f.add(0).enable();
        f.add(1);
        vcpu.host.miss(7);
        const before = [f.vm.save(), vcpu.host.queued, f.vm.fetching, vcpu.token];
        const vcpus = second
          ? [good, { ...good, id: 1, ...change }]
          : [
              { ...good, ...change },
              { ...good, id: 1 },
            ];
        const alter = second && "id" in change ? { vcpus: [good, good] } : { vcpus };
        expect(() => f.vm.restore(alter)).toThrow(expect.objectContaining({ name: "AsyncPfError", code: "state" }));
        expect([f.vm.save(), vcpu.host.queued, f.vm.fetching, vcpu.token]).toEqual(before);
        expect(vcpu.interrupts).toEqual([]);
      }),
    );
  });

  it("anything that is no state is refused by a typed error", () => {
    fc.assert(
      fc.property(fc.anything(), (state) => {
        const f = new FakeVm();
        f.add();
        expect(() => f.vm.restore(state)).toThrow(AsyncPfError);
      }),
    );
  });

  it("a state of a VM with other features, or with a local APIC, is refused where it says so", () => {
    const f = new FakeVm({ features: KvmFeature.AsyncPf | KvmFeature.AsyncPfInt });
    f.add();
    const all = new FakeVm({ features: ALL_FEATURES });
    all.add().enable(AsyncPfEnable.DeliveryAsPfVmexit);
    expect(() => f.vm.restore(all.vm.save())).toThrow(/CPUID/);
    const bare = new FakeVm();
    bare.add(0, { lapic: false });
    expect(() => bare.vm.restore(all.vm.save())).toThrow(/local APIC/);
  });
});
