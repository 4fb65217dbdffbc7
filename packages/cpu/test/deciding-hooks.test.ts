import { al, cr3, eax, ecx, edx, mem, rax, rbx, rcx, rdi, rdx, rsi, rsp, xmm0 } from "@vm/asm";
import { describe, expect, test } from "vitest";
import { Access, Licence, type VcpuHooks } from "../src/index.js";
import * as S from "../src/state.js";
import { CODE, DATA, DEVICE, FakeMachine, HANDLERS, RBX, reg, rip, setReg } from "./fake-machine.js";

type Write = Parameters<FakeMachine["assemble"]>[1];

interface Case {
  readonly hook: keyof VcpuHooks;
  /** The instruction that is asked about. */
  readonly write: Write;
  /** What comes before it and need not be watched. */
  readonly before?: Write;
  readonly prepare?: (m: FakeMachine) => void;
}

/** Every instruction that an observer can decide about, in each way it is executed. */
const CASES: Readonly<Record<string, Case>> = {
  "MOV CR3": { hook: "controlRegister", before: (a) => a.mov(rax, 0x5000), write: (a) => a.mov(cr3, rax) },
  WRMSR: { hook: "msrWrite", before: (a) => a.mov(ecx, 0xc0000102), write: (a) => a.wrmsr() },
  RDMSR: { hook: "msrRead", before: (a) => a.mov(ecx, 0xc0000102), write: (a) => a.rdmsr() },
  LGDT: { hook: "descriptorTable", write: (a) => a.lgdt(mem(DATA)), prepare: (m) => m.qword(DATA, 0x10000047) },
  SGDT: { hook: "descriptorTable", write: (a) => a.sgdt(mem(DATA)) },
  LLDT: { hook: "descriptorTable", before: (a) => a.mov(eax, 0), write: (a) => a.emit([0x0f, 0x00, 0xd0]) },
  CPUID: { hook: "cpuid", before: (a) => a.mov(eax, 0), write: (a) => a.cpuid() },
  HLT: { hook: "hlt", write: (a) => a.hlt(), prepare: (m) => m.interrupt(0x40) },
  WBINVD: { hook: "wbinvd", write: (a) => a.wbinvd() },
  WBNOINVD: { hook: "wbinvd", write: (a) => a.emit([0xf3, 0x0f, 0x09]) },
  INVD: { hook: "invd", write: (a) => a.emit([0x0f, 0x08]) },
  IN: { hook: "io", write: (a) => a.in(al, 0x13) },
  OUT: { hook: "io", write: (a) => a.out(0x10, al) },
  "REP INSB": {
    hook: "io",
    before: (a) => a.mov(edx, 0x13).mov(ecx, 3).mov(rdi, DATA),
    write: (a) => a.emit([0xf3, 0x6c]),
  },
  "REP OUTSB": {
    hook: "io",
    before: (a) => a.mov(edx, 0x13).mov(ecx, 3).mov(rsi, DATA),
    write: (a) => a.emit([0xf3, 0x6e]),
  },
  "load from a device": { hook: "mmio", write: (a) => a.mov(eax, mem(rbx, { disp: 4 })) },
  "store to a device": { hook: "mmio", write: (a) => a.mov(mem(rbx, { disp: 4 }), rdx) },
  "16-byte store to a device": { hook: "mmio", write: (a) => a.movdqu(mem(rbx), xmm0) },
  "16-byte load from a device": { hook: "mmio", write: (a) => a.movdqu(xmm0, mem(rbx)) },
  "store whose flags come from it": { hook: "mmio", write: (a) => a.add(mem(rbx, { size: 4 }), eax) },
  "XCHG with a device": { hook: "mmio", write: (a) => a.xchg(mem(rbx), rdx) },
  "push from a device": { hook: "mmio", write: (a) => a.push(mem(rbx, { size: 8 })) },
  "pop into a device": {
    hook: "mmio",
    before: (a) => a.mov(rsp, DATA),
    write: (a) => a.pop(mem(rbx, { size: 8 })),
    prepare: (m) => m.qword(DATA, 0x1122334455667788n),
  },
  "REP STOSB to a device": {
    hook: "mmio",
    before: (a) => a.mov(ecx, 3).mov(rdi, rbx),
    write: (a) => a.rep().stosb(),
  },
  "store across two pages, the second a device": {
    hook: "mmio",
    write: (a) => a.mov(mem(rbx, { disp: -2 }), edx),
    prepare: (m) => m.map(DEVICE - 4096, { gfn: DATA >> 12 }),
  },
  "store right behind STI": { hook: "mmio", before: (a) => a.sti(), write: (a) => a.mov(mem(rbx), edx) },
  "x87 store to a device": { hook: "mmio", before: (a) => a.emit([0xd9, 0xe8]), write: (a) => a.emit([0xdd, 0x1b]) },
  INT3: { hook: "breakpoint", write: (a) => a.int3() },
  "INT n": { hook: "inject", write: (a) => a.int(0x33) },
  "page fault": { hook: "inject", write: (a) => a.mov(rax, mem(0x7fff0000)) },
  SYSCALL: {
    hook: "syscall",
    write: (a) => a.syscall(),
    prepare: (m) => void m.vcpu.msrs.set(0xc0000082, [HANDLERS + 16 * 0x33, 0]),
  },
};

function machine({ write, before, prepare }: Case): { m: FakeMachine; at: number } {
  const m = new FakeMachine();
  const at = m.assemble(CODE, (a) => {
    a.mov(rdx, 0x1234).inc(rdx);
    before?.(a);
  });
  m.assemble(at, (a) => {
    write(a);
    a.inc(rdx).hlt();
  });
  setReg(m.vcpu, RBX, DEVICE);
  prepare?.(m);
  return { m, at };
}

/** All that the guest and its devices can see, but for what is scratch within one instruction. */
function seen({ vcpu, ram, bus }: FakeMachine): unknown {
  const registers = Array.from({ length: 16 }, (_, r) => reg(vcpu, r));
  const xmm = vcpu.memory.slice(vcpu.base + S.XMM, vcpu.base + S.XMM + 256);
  const { cr0, cr4, rflags, xcr0, gdtr, ldtr, retired, shadow, activity, cr2Lo } = vcpu;
  const msrs = [...vcpu.msrs].map(([number, [lo, hi]]) => [number, lo, hi]);
  return {
    registers,
    xmm,
    rip: rip(vcpu),
    cr0,
    cr3: vcpu.paging.cr3Lo,
    cr4,
    rflags,
    xcr0,
    gdtr: { ...gdtr },
    ldtr,
    retired,
    shadow,
    activity,
    cr2Lo,
    msrs,
    ram: Buffer.from(ram).toString("latin1"),
    log: [...bus.log],
  };
}

describe.each(Object.entries(CASES))("%s", (_, scene) => {
  const unobserved = (): unknown => {
    const { m } = machine(scene);
    m.go();
    return seen(m);
  };

  test("is left undone as often as an observer leaves, and then done as if nobody had", () => {
    const { m, at } = machine(scene);
    let asked = 0;
    m.vcpu.hooks = { [scene.hook]: () => void (asked++ < 2 && m.vcpu.leave()) };
    expect(m.go().reason).toBe("intercepted");
    expect([asked, rip(m.vcpu)]).toEqual([1, at]);
    const undone = seen(m);
    expect(m.bus.log.filter((line) => !line.startsWith("read"))).toEqual([]);
    expect(m.go().reason).toBe("intercepted");
    expect(asked).toBe(2);
    expect({ ...(undone as object), log: [] }).toEqual({ ...(seen(m) as object), log: [] });
    const { reason } = m.go();
    expect(reason).toBe("hlt");
    const rereads = scene.hook === "mmio" ? { log: [] } : {};
    expect({ ...(seen(m) as object), ...rereads }).toEqual({ ...(unobserved() as object), ...rereads });
  });

  test("is what it would be when an observer only looks", () => {
    const { m } = machine(scene);
    let asked = 0;
    m.vcpu.hooks = { [scene.hook]: () => void asked++ };
    m.go();
    expect(asked).toBeGreaterThan(0);
    expect(seen(m)).toEqual(unobserved());
  });

  // #GP has an error code, #VE has none.
  test.each([13, 20] as const)("gives way to exception %i that an observer raises", (vector) => {
    const { m: before } = machine(scene);
    before.vcpu.hooks = { [scene.hook]: () => before.vcpu.leave() };
    before.go();
    const { m, at } = machine(scene);
    let asked = 0;
    m.vcpu.hooks = {
      [scene.hook]: () => {
        if (asked++ > 0) return;
        if (vector === 13) m.vcpu.raiseError(vector, 0);
        else m.vcpu.raise(vector);
        return false;
      },
    };
    m.go();
    expect(rip(m.vcpu)).toBe(HANDLERS + 16 * vector + 1);
    const pushed = m.q(Number(reg(m.vcpu, 4)) + (vector === 13 ? 8 : 0));
    expect(m.bus.log).toEqual([]);
    for (const r of [0, 1, 2, 3, 5, 6, 7]) expect(reg(m.vcpu, r)).toBe(reg(before.vcpu, r));
    // The event is dropped, and the exception comes where execution goes on.
    if (scene.hook === "inject") expect([BigInt(at), BigInt(at + 2)]).toContain(pushed);
    else expect(pushed).toBe(BigInt(at));
  });
});

/** What a veto leaves: the instruction is over, with nothing done. */
describe("a veto", () => {
  /** Without the veto execution goes on elsewhere, or RDX is another. */
  const changes = new Set<keyof VcpuHooks>(["breakpoint", "cpuid", "hlt", "inject", "msrRead", "syscall"]);
  const vetoed = Object.entries(CASES).filter(([name]) => name !== "page fault");

  test.each(vetoed)("of %s lets execution go on behind it, with no device asked", (name, scene) => {
    const { m } = machine(scene);
    let asked = 0;
    // The HLT at the end is one, too.
    m.vcpu.hooks = { [scene.hook]: () => ++asked > 1 && scene.hook === "hlt" };
    m.go();
    expect(asked).toBeGreaterThan(0);
    expect(m.bus.log.filter((line) => !line.startsWith("read"))).toEqual([]);
    const { m: plain } = machine(scene);
    plain.go();
    expect(reg(m.vcpu, 2)).toBe(
      name === "XCHG with a device" ? 0n : changes.has(scene.hook) ? 0x1236n : reg(plain.vcpu, 2),
    );
  });

  test("of a read gives all ones, of each width", () => {
    const { m } = machine({ hook: "io", write: (a) => a.mov(eax, 0).in(al, 0x13).mov(rcx, mem(rbx)) });
    m.vcpu.hooks = { io: () => false, mmio: () => false };
    m.go();
    expect([reg(m.vcpu, 0), reg(m.vcpu, 1)]).toEqual([0xffn, 0xffff_ffff_ffff_ffffn]);
    expect(m.bus.log).toEqual([]);
  });

  test("of CPUID and RDMSR leaves the registers to the observer", () => {
    const { m } = machine({ hook: "cpuid", write: (a) => a.mov(eax, 0).cpuid().mov(ecx, 0x123).rdmsr() });
    m.vcpu.hooks = {
      cpuid: () => {
        setReg(m.vcpu, RBX, 77);
        return false;
      },
      msrRead: () => {
        setReg(m.vcpu, 0, 88);
        return false;
      },
    };
    m.go();
    expect([reg(m.vcpu, RBX), reg(m.vcpu, 0)]).toEqual([77n, 88n]);
  });

  test("of a page fault has the access tried again", () => {
    const { m } = machine({ hook: "inject", write: (a) => a.mov(rax, mem(DATA)) });
    m.qword(DATA, 5);
    m.map(DATA, { absent: true });
    const faults: unknown[] = [];
    m.vcpu.hooks = {
      inject: (...args) => {
        faults.push(args);
        m.map(DATA, {});
        return false;
      },
    };
    m.go();
    expect(faults).toEqual([[14, 0, "exception", BigInt(DATA)]]);
    expect([reg(m.vcpu, 0), m.vcpu.cr2Lo]).toEqual([5n, 0]);
  });

  test("of an NMI lets the next one in", () => {
    const { m } = machine({ hook: "inject", write: (a) => a.nop() });
    let asked = 0;
    m.vcpu.hooks = { inject: () => ++asked > 1 };
    m.vcpu.nmi();
    m.vcpu.run(1);
    m.vcpu.nmi();
    m.go();
    expect([asked, rip(m.vcpu)]).toEqual([2, HANDLERS + 16 * 2 + 1]);
  });
});

test("an interrupt that an observer of its delivery leaves is not lost", () => {
  const { m } = machine({ hook: "inject", write: (a) => a.sti().nop().nop() });
  let asked = 0;
  m.vcpu.hooks = { inject: () => void (asked++ === 0 && m.vcpu.leave()) };
  m.interrupt(0x40);
  expect(m.go().reason).toBe("intercepted");
  expect(m.apic.waiting).toEqual([]);
  expect(m.go().reason).toBe("hlt");
  expect([asked, rip(m.vcpu)]).toEqual([2, HANDLERS + 16 * 0x40 + 1]);
  expect(m.vcpu.counts.interrupts).toBeGreaterThan(0);
});

test("an observer of withheld pages can raise an exception instead", () => {
  const { m, at } = machine({ hook: "pageAccess", write: (a) => a.mov(rax, mem(DATA)) });
  m.map(DATA, { withheld: Licence.Read });
  m.vcpu.hooks = { pageAccess: (_gfn, _access, address) => m.vcpu.raisePageFault(Number(address), 0, 0x8000) };
  m.go();
  expect(rip(m.vcpu)).toBe(HANDLERS + 16 * 14 + 1);
  const sp = Number(reg(m.vcpu, 4));
  expect([m.q(sp), m.q(sp + 8), m.vcpu.cr2Lo]).toEqual([0x8000n, BigInt(at), DATA]);
  expect(Access.Write).toBe(1);
});
