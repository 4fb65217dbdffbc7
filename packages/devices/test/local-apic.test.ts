import { describe, expect, test } from "vitest";
import { FakeSystem } from "./fakes.js";

const one = () => {
  const system = new FakeSystem([0]);
  return { system, apic: system.apic(0), cpu: system.cpus[0] };
};
const fixed = (system: FakeSystem, vector: number, level = false) => system.send({ vector, level });

describe("interrupt priority (SDM 3A 11.8)", () => {
  test("a requested vector is acknowledged once, highest first, and moves from IRR to ISR", () => {
    const { system, apic } = one();
    fixed(system, 0x31);
    fixed(system, 0x52);
    expect(apic.mmioRead(0x220, 4)).toBe(1 << (0x52 - 0x40));
    expect(apic.acknowledge()).toBe(0x52);
    expect(apic.mmioRead(0x220, 4)).toBe(0);
    expect(apic.mmioRead(0x120, 4)).toBe(1 << (0x52 - 0x40));
    expect(apic.acknowledge()).toBe(-1);
  });

  test("a vector of the class in service waits for the EOI, one of a higher class interrupts", () => {
    const { system, apic } = one();
    fixed(system, 0x41);
    expect(apic.acknowledge()).toBe(0x41);
    fixed(system, 0x4f);
    expect(apic.hasInterrupt()).toBe(false);
    fixed(system, 0x50);
    expect(apic.acknowledge()).toBe(0x50);
    apic.mmioWrite(0xb0, 4, 0);
    expect(apic.hasInterrupt()).toBe(false);
    apic.mmioWrite(0xb0, 4, 0);
    expect(apic.acknowledge()).toBe(0x4f);
  });

  test("TPR holds back vectors of its class and below, CR8 is TPR bits 7:4", () => {
    const { system, apic } = one();
    apic.mmioWrite(0x80, 4, 0x40);
    expect(apic.cr8).toBe(4);
    fixed(system, 0x4f);
    expect(apic.hasInterrupt()).toBe(false);
    apic.cr8 = 3;
    expect(apic.mmioRead(0x80, 4)).toBe(0x30);
    expect(apic.hasInterrupt()).toBe(true);
  });

  test("PPR is the vector class in service, or TPR where that is not lower", () => {
    const { system, apic } = one();
    apic.mmioWrite(0x80, 4, 0x25);
    expect(apic.mmioRead(0xa0, 4)).toBe(0x25);
    fixed(system, 0x37);
    apic.acknowledge();
    expect(apic.mmioRead(0xa0, 4)).toBe(0x30);
    apic.mmioWrite(0x80, 4, 0x35);
    expect(apic.mmioRead(0xa0, 4)).toBe(0x35);
  });

  test("the CPU is told once per newly deliverable vector", () => {
    const { system, cpu } = one();
    fixed(system, 0x40);
    fixed(system, 0x40);
    expect(cpu?.log).toEqual(["interrupt"]);
    fixed(system, 0x60);
    expect(cpu?.log).toEqual(["interrupt", "interrupt"]);
  });

  test("the EOI of a level-triggered interrupt goes to the IO-APICs, that of an edge-triggered one does not", () => {
    const { system, apic } = one();
    fixed(system, 0x40, true);
    expect(apic.mmioRead(0x1a0, 4)).toBe(1);
    apic.acknowledge();
    apic.mmioWrite(0xb0, 4, 0);
    expect(system.eois).toEqual([0x40]);
    fixed(system, 0x40, false);
    apic.acknowledge();
    apic.mmioWrite(0xb0, 4, 0);
    expect(system.eois).toEqual([0x40]);
  });

  test("an EOI with nothing in service does nothing", () => {
    const { system, apic } = one();
    apic.mmioWrite(0xb0, 4, 0);
    expect(system.eois).toEqual([]);
  });
});

describe("registers (SDM 3A table 11-1)", () => {
  test("power-up values", () => {
    const system = new FakeSystem([5]);
    const apic = system.apic(0);
    apic.mmioWrite(0xf0, 4, 0xff);
    const at = (offset: number) => apic.mmioRead(offset, 4);
    expect([0x20, 0x30, 0x80, 0xd0, 0xe0, 0xf0].map(at)).toEqual([5 << 24, 0x50014, 0, 0, 0xffffffff, 0xff]);
    for (let lvt = 0x320; lvt <= 0x370; lvt += 0x10) expect(at(lvt)).toBe(0x10000);
  });

  test("LVT entries keep their writable bits only", () => {
    const { apic } = one();
    const kept = [0x320, 0x330, 0x340, 0x350, 0x360, 0x370].map((offset) => {
      apic.mmioWrite(offset, 4, 0xffffffff);
      return apic.mmioRead(offset, 4);
    });
    expect(kept).toEqual([0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff]);
  });

  test("LDR keeps its high byte, DFR its model nibble", () => {
    const { apic } = one();
    apic.mmioWrite(0xd0, 4, 0xffffffff);
    apic.mmioWrite(0xe0, 4, 0);
    expect([apic.mmioRead(0xd0, 4), apic.mmioRead(0xe0, 4)]).toEqual([0xff000000, 0x0fffffff]);
  });

  test("software disable masks every LVT entry, keeps them masked, and refuses fixed interrupts but not NMI", () => {
    const { system, apic, cpu } = one();
    apic.mmioWrite(0x350, 4, 0x40);
    apic.mmioWrite(0xf0, 4, 0xff);
    expect(apic.mmioRead(0x350, 4)).toBe(0x10040);
    apic.mmioWrite(0x350, 4, 0x41);
    expect(apic.mmioRead(0x350, 4)).toBe(0x10041);
    expect(fixed(system, 0x40)).toBe(false);
    expect(system.send({ mode: 4 })).toBe(true);
    expect(cpu?.log).toEqual(["nmi"]);
  });

  test("partial reads give their bytes, bytes between registers read 0, unaligned writes do nothing", () => {
    const { apic } = one();
    expect(apic.mmioRead(0x30, 1)).toBe(0x14);
    expect(apic.mmioRead(0x32, 2)).toBe(5);
    expect(apic.mmioRead(0x34, 4)).toBe(0);
    apic.mmioWrite(0x84, 4, 0x50);
    apic.mmioWrite(0x80, 1, 0x50);
    expect(apic.mmioRead(0x80, 4)).toBe(0);
  });

  test("an illegal register sets ESR bit 7, readable after a write of the ESR, and raises the error interrupt", () => {
    const { apic } = one();
    apic.mmioWrite(0x370, 4, 0xfe);
    expect(apic.mmioRead(0x3f0, 4)).toBe(0);
    expect(apic.mmioRead(0x280, 4)).toBe(0);
    apic.mmioWrite(0x280, 4, 0);
    expect(apic.mmioRead(0x280, 4)).toBe(0x80);
    expect(apic.acknowledge()).toBe(0xfe);
    apic.mmioWrite(0x280, 4, 0);
    expect(apic.mmioRead(0x280, 4)).toBe(0);
  });

  test("vectors below 16 are errors: bit 5 when sent, bit 6 when received", () => {
    const { system, apic } = one();
    apic.mmioWrite(0x300, 4, 0x4000f);
    expect(fixed(system, 0x0f)).toBe(false);
    apic.mmioWrite(0x280, 4, 0);
    expect(apic.mmioRead(0x280, 4)).toBe(0x60);
    expect(apic.hasInterrupt()).toBe(false);
  });

  test("an illegal vector in the error entry does not feed on itself", () => {
    const { apic } = one();
    apic.mmioWrite(0x370, 4, 0x03);
    apic.mmioRead(0x3f0, 4);
    apic.mmioWrite(0x280, 4, 0);
    expect(apic.mmioRead(0x280, 4)).toBe(0xc0);
  });

  test("LINT1 as NMI reaches the CPU; a perf interrupt masks its own entry", () => {
    const { apic, cpu } = one();
    apic.mmioWrite(0x360, 4, 0x400);
    apic.assertLocal("lint1");
    expect(cpu?.log).toEqual(["nmi"]);
    apic.mmioWrite(0x340, 4, 0x55);
    apic.assertLocal("perf");
    expect(apic.acknowledge()).toBe(0x55);
    expect(apic.mmioRead(0x340, 4)).toBe(0x10055);
    apic.assertLocal("lint0");
    expect(apic.hasInterrupt()).toBe(false);
  });
});

describe("IA32_APIC_BASE (SDM 3A 11.4.4, 11.12.5)", () => {
  test("shows base, enable and BSP", () => {
    const system = new FakeSystem([0, 1]);
    expect(system.apics.map((apic) => apic.readMsr(0x1b))).toEqual([0xfee00900, 0xfee00800]);
    expect(system.apic(0).pageBase).toBe(0xfee00000);
  });

  test("reserved bits and addresses beyond MAXPHYADDR raise #GP", () => {
    const apic = new FakeSystem([0], { physicalAddressBits: 39 }).apic(0);
    expect(apic.writeMsr(0x1b, 0xfee00801, 0)).toBe(false);
    expect(apic.writeMsr(0x1b, 0xfee00a00, 0)).toBe(false);
    expect(apic.writeMsr(0x1b, 0xfee00800, 0x80)).toBe(false);
    expect(apic.writeMsr(0x1b, 0xfee00800, 0x7f)).toBe(true);
    expect(apic.pageBase).toBe(0x7ffee00000);
  });

  test.each([
    ["disabled", "disabled", true],
    ["disabled", "xapic", true],
    ["disabled", "x2apic", false],
    ["disabled", "invalid", false],
    ["xapic", "disabled", true],
    ["xapic", "xapic", true],
    ["xapic", "x2apic", true],
    ["xapic", "invalid", false],
    ["x2apic", "disabled", true],
    ["x2apic", "xapic", false],
    ["x2apic", "x2apic", true],
    ["x2apic", "invalid", false],
  ] as const)("from %s to %s: allowed is %s", (from, to, allowed) => {
    const { apic } = one();
    const bits = { disabled: 0, xapic: 0x800, x2apic: 0xc00, invalid: 0x400 };
    expect(apic.writeMsr(0x1b, 0xfee00000 + bits[from], 0)).toBe(true);
    expect(apic.mode).toBe(from);
    expect(apic.writeMsr(0x1b, 0xfee00000 + bits[to], 0)).toBe(allowed);
    expect(apic.mode).toBe(allowed ? to : from);
  });

  test("disabling resets the registers, refuses every message and floats the page", () => {
    const { system, apic, cpu } = one();
    fixed(system, 0x40);
    apic.writeMsr(0x1b, 0xfee00000, 0);
    expect(apic.hasInterrupt()).toBe(false);
    expect(system.send({ mode: 4 })).toBe(false);
    expect(cpu?.log).toEqual(["interrupt"]);
    expect(apic.mmioRead(0x30, 4)).toBe(0xffffffff);
    apic.writeMsr(0x1b, 0xfee00800, 0);
    expect(apic.mmioRead(0xf0, 4)).toBe(0xff);
  });

  test("the machine hears where the page is", () => {
    const moves: (number | null)[] = [];
    const apic = new FakeSystem([0], { onRelocate: (base) => moves.push(base) }).apic(0);
    apic.writeMsr(0x1b, 0xfed00800, 0);
    apic.writeMsr(0x1b, 0xfed00c00, 0);
    expect(moves).toEqual([0xfed00000, null]);
  });
});

describe("x2APIC MSRs (SDM 3A 11.12.1.2)", () => {
  const x2 = (id = 0x123) => new FakeSystem([id]).x2apic().apic(0);

  test("ID and LDR are 32-bit: cluster and bit come from the ID", () => {
    const apic = x2();
    expect(apic.readMsr(0x802)).toBe(0x123);
    expect(apic.readMsr(0x80d)).toBe(((0x12 << 16) | (1 << 3)) >>> 0);
  });

  test("outside x2APIC mode, and for registers that do not exist there, reads raise #GP", () => {
    expect(one().apic.readMsr(0x802)).toBe(-1);
    const apic = x2();
    for (const msr of [0x800, 0x80b, 0x80e, 0x831, 0x83f, 0x8ff]) expect(apic.readMsr(msr)).toBe(-1);
    expect(apic.ownsMsr(0x900)).toBe(false);
  });

  test("read-only registers, reserved bits and high halves raise #GP", () => {
    const apic = x2();
    const refused: [number, number, number][] = [
      [0x802, 0, 0],
      [0x803, 0, 0],
      [0x80d, 0, 0],
      [0x808, 0x100, 0],
      [0x808, 0, 1],
      [0x80b, 1, 0],
      [0x828, 1, 0],
      [0x830, 1 << 13, 0],
      [0x830, 1 << 20, 0],
      [0x832, 1 << 8, 0],
      [0x83e, 4, 0],
    ];
    for (const [msr, lo, hi] of refused) expect([msr, apic.writeMsr(msr, lo, hi)]).toEqual([msr, false]);
    expect(apic.writeMsr(0x808, 0x20, 0)).toBe(true);
    expect(apic.readMsr(0x808)).toBe(0x20);
  });

  test("the ICR is one 64-bit register", () => {
    const system = new FakeSystem([0x100, 0x101]).x2apic();
    expect(system.apic(0).writeMsr(0x830, 0x4045, 0x101)).toBe(true);
    expect(system.pending()).toEqual([false, true]);
    expect(system.apic(0).readMsr(0x830)).toBe(0x4045);
    expect(system.apic(0).hi).toBe(0x101);
  });

  test("self IPI", () => {
    const apic = x2();
    expect(apic.writeMsr(0x83f, 0x77, 0)).toBe(true);
    expect(apic.acknowledge()).toBe(0x77);
  });
});

test("save and restore carry interrupts, registers and the running timer", () => {
  const { system, apic } = one();
  apic.mmioWrite(0x320, 4, 0x200e0);
  apic.mmioWrite(0x380, 4, 1000);
  fixed(system, 0x40, true);
  apic.acknowledge();
  fixed(system, 0x52);
  system.clock.advanceTo(500);
  const copy = new FakeSystem([0]);
  copy.clock.advanceTo(500);
  copy.apic(0).restore(structuredClone(apic.save()));
  expect(copy.apic(0).save()).toEqual(apic.save());
  expect(copy.apic(0).acknowledge()).toBe(0x52);
  copy.clock.advanceTo(2000);
  expect(copy.apic(0).acknowledge()).toBe(0xe0);
});

describe("an 8259A on LINT0 (SDM 3A 11.5.1, MultiProcessor Specification 3.6.2.2)", () => {
  const setup = () => {
    const external = { requested: false, acknowledge: () => 0x77 };
    const system = new FakeSystem([0], { external });
    const apic = system.apic(0);
    const request = () => {
      external.requested = true;
      apic.externalChanged();
    };
    return { system, apic, external, request, log: system.cpus[0]?.log ?? [] };
  };

  test("firmware has left LINT0 as ExtINT: a request reaches the CPU, before any of the APIC", () => {
    const { system, apic, external, request, log } = setup();
    expect(apic.mmioRead(0x350, 4)).toBe(0x700);
    system.send({ vector: 0xf0 });
    log.length = 0;
    request();
    expect(log).toEqual(["interrupt"]);
    expect(apic.acknowledge()).toBe(0x77);
    external.requested = false;
    expect(apic.acknowledge()).toBe(0xf0);
  });

  test("a masked LINT0, or one with another delivery mode, lets nothing through until that changes", () => {
    const { apic, request, log } = setup();
    for (const entry of [0x10700, 0x00020]) {
      apic.mmioWrite(0x350, 4, entry);
      request();
      expect([apic.hasInterrupt(), log]).toEqual([false, []]);
    }
    apic.mmioWrite(0x350, 4, 0x700);
    expect([apic.hasInterrupt(), log]).toEqual([true, ["interrupt"]]);
  });

  test("a disabled APIC is not in the way; enabled again it is masked", () => {
    const { apic, request, log } = setup();
    apic.mmioWrite(0x350, 4, 0x10700);
    request();
    const base = apic.readMsr(0x1b);
    expect(apic.writeMsr(0x1b, base & ~0x800, 0)).toBe(true);
    expect([apic.hasInterrupt(), apic.acknowledge(), log]).toEqual([true, 0x77, ["interrupt"]]);
    apic.writeMsr(0x1b, base, 0);
    expect(apic.hasInterrupt()).toBe(false);
  });

  test("without one LINT0 is masked after reset", () => {
    expect(new FakeSystem([0]).apic(0).mmioRead(0x350, 4)).toBe(0x10000);
  });
});

test("without x2APIC its enable bit is reserved (SDM 3A 11.12.1)", () => {
  const apic = new FakeSystem([0], { x2apic: false }).apic(0);
  const base = apic.readMsr(0x1b);
  expect(apic.writeMsr(0x1b, base | 0x400, 0)).toBe(false);
  expect([apic.mode, apic.readMsr(0x1b)]).toEqual(["xapic", base]);
});

describe("the xAPIC ID register (SDM 3A 11.4.6)", () => {
  test("software may change it: the APIC then answers to the new one alone", () => {
    const system = new FakeSystem([0, 1]);
    system.apic(1).mmioWrite(0x20, 4, 0x4200_0000);
    expect(system.apic(1).mmioRead(0x20, 4)).toBe(0x4200_0000);
    expect([system.send({ destination: 1 }), system.send({ destination: 0x42 })]).toEqual([false, true]);
    expect(system.pending()).toEqual([false, true]);
    const copy = new FakeSystem([0, 1]);
    copy.apic(1).restore(structuredClone(system.apic(1).save()));
    expect(copy.send({ destination: 0x42 })).toBe(true);
  });

  test("x2APIC mode has the ID of its own, read-only, and so has an APIC that was disabled", () => {
    const apic = new FakeSystem([7]).apic(0);
    apic.mmioWrite(0x20, 4, 0x4200_0000);
    const base = apic.readMsr(0x1b);
    apic.writeMsr(0x1b, base | 0x400, 0);
    expect([apic.readMsr(0x802), apic.writeMsr(0x802, 9, 0)]).toEqual([7, false]);
    apic.writeMsr(0x1b, base & ~0x800, 0);
    apic.writeMsr(0x1b, base, 0);
    expect(apic.mmioRead(0x20, 4)).toBe(0x0700_0000);
  });
});
