import { describe, expect, test } from "vitest";
import { KVM_CLOCK_FEATURES, KvmClock, MSR_KVM_SYSTEM_TIME, MSR_KVM_WALL_CLOCK } from "../src/index.js";
import { FakeMemory } from "./fakes.js";

const setup = () => {
  const memory = new FakeMemory(4096);
  const world = { ns: 5_000_000_123, ahead: 1000 };
  /** Time goes on while it is read. */
  const now = () => world.ns++;
  const clock = new KvmClock({
    memory,
    now,
    tsc: { tscToNs: (ticks) => ticks - world.ahead },
    unixTime: () => 1_700_000_000.25 + world.ns / 1e9,
  });
  const u64 = (at: number) => memory.view.getUint32(at, true) + memory.view.getUint32(at + 4, true) * 2 ** 32;
  return { memory, world, clock, u64 };
};

describe("KVM's clock (Documentation/virt/kvm/x86/msr.rst)", () => {
  test("system time: the guest computes virtual time from its TSC", () => {
    const { memory, world, clock, u64 } = setup();
    expect(clock.writeMsr(MSR_KVM_SYSTEM_TIME, 0x101, 0)).toBe(true);
    const { view } = memory;
    expect([view.getUint32(0x100, true), view.getUint8(0x11d)]).toEqual([2, 1]);
    world.ns += 123_456_789;
    const delta = world.ns + world.ahead - u64(0x108);
    const shifted = delta * 2 ** view.getInt8(0x11c);
    expect(u64(0x110) + (shifted * view.getUint32(0x118, true)) / 2 ** 32).toBe(world.ns);
    expect([clock.readMsr(MSR_KVM_SYSTEM_TIME), clock.hi]).toEqual([0x101, 0]);
  });

  test("wall clock: the time of day at system time 0", () => {
    const { memory, clock } = setup();
    expect(clock.writeMsr(MSR_KVM_WALL_CLOCK, 0x200, 0)).toBe(true);
    const { view } = memory;
    expect([view.getUint32(0x200, true), view.getUint32(0x204, true)]).toEqual([2, 1_700_000_000]);
    expect(view.getUint32(0x208, true)).toBeCloseTo(0.25e9, -3);
  });

  test("versions are even and grow; a disabled clock and one outside memory write nothing", () => {
    const { memory, clock } = setup();
    clock.writeMsr(MSR_KVM_SYSTEM_TIME, 0x100, 0);
    clock.writeMsr(MSR_KVM_SYSTEM_TIME, 0x101, 1);
    expect(memory.bytes.every((byte) => byte === 0)).toBe(true);
    expect([clock.readMsr(MSR_KVM_SYSTEM_TIME), clock.hi]).toEqual([0x101, 1]);
    clock.writeMsr(MSR_KVM_SYSTEM_TIME, 0x101, 0);
    expect(memory.view.getUint32(0x100, true)).toBe(4);
  });

  test("what a write stores into is known before", () => {
    const { memory, clock } = setup();
    const written = (): number[] => [...memory.bytes.keys()].filter((at) => memory.bytes[at] !== 0);
    for (const [msr, lo] of [
      [MSR_KVM_SYSTEM_TIME, 0x101],
      [MSR_KVM_WALL_CLOCK, 0x200],
    ] as const) {
      memory.bytes.fill(0);
      const { gpa, size } = clock.reaches(msr, lo, 0) ?? { gpa: 0, size: 0 };
      clock.writeMsr(msr, lo, 0);
      expect(written().length).toBeGreaterThan(0);
      expect(written().every((at) => at >= gpa && at < gpa + size)).toBe(true);
    }
    expect(clock.reaches(MSR_KVM_SYSTEM_TIME, 1, 5)).toEqual({ gpa: 5 * 2 ** 32, size: 32 });
    expect([clock.reaches(MSR_KVM_SYSTEM_TIME, 0x100, 0), clock.reaches(0x12, 1, 0)]).toEqual([null, null]);
  });

  test("other MSRs are not its own", () => {
    const { clock } = setup();
    expect([clock.readMsr(0x4b564d02), clock.writeMsr(0x12, 1, 0)]).toEqual([-1, false]);
    expect(KVM_CLOCK_FEATURES).toBe(0x1000008);
  });

  test("save and restore", () => {
    const { clock } = setup();
    clock.writeMsr(MSR_KVM_SYSTEM_TIME, 0x101, 0);
    clock.writeMsr(MSR_KVM_WALL_CLOCK, 0x200, 0);
    const copy = setup();
    copy.clock.restore(structuredClone(clock.save()));
    expect(copy.clock.save()).toEqual(clock.save());
    copy.clock.writeMsr(MSR_KVM_SYSTEM_TIME, 0x101, 0);
    expect(copy.memory.view.getUint32(0x100, true)).toBe(6);
  });
});
