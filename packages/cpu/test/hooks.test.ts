import { al, ax, cr0, cr3, cr4, eax, ecx, edx, mem, rax, rbx, rcx, rdi } from "@vm/asm";
import { describe, expect, test } from "vitest";
import { Licence, type VcpuHooks } from "../src/index.js";
import { CODE, DATA, DEVICE, FakeMachine, HANDLERS, RAX, RBX, RCX, reg, rip, setReg } from "./fake-machine.js";

type Write = Parameters<FakeMachine["assemble"]>[1];

function machine(write: Write): FakeMachine {
  const m = new FakeMachine();
  m.assemble(CODE, (a) => {
    write(a);
    a.hlt();
  });
  setReg(m.vcpu, RBX, DEVICE);
  return m;
}

/** Runs with one hook that notes its arguments and answers `answer`. */
function observed<K extends keyof VcpuHooks>(
  name: K,
  answer: unknown,
  write: Write,
): { calls: unknown[][]; m: FakeMachine } {
  const calls: unknown[][] = [];
  const m = machine(write);
  m.vcpu.hooks = {
    [name]: (...args: unknown[]) => {
      calls.push(args);
      return answer;
    },
  };
  m.go();
  return { calls, m };
}

describe("hooks", () => {
  test("controlRegister sees writes to CR0, CR3, CR4 and CR8, and can suppress them", () => {
    const write: Write = (a) =>
      a
        .mov(rcx, cr0)
        .mov(rax, 0x5000)
        .mov(cr3, rax)
        .mov(rax, cr4)
        .or(rax, 4)
        .mov(cr4, rax)
        .mov(eax, 3)
        .emit([0x44, 0x0f, 0x22, 0xc0])
        .mov(cr0, rcx);
    const seen = observed("controlRegister", true, write);
    expect(seen.calls).toEqual([
      [3, 0x5000n],
      [4, 0x6a4n],
      [8, 3n],
      [0, 0x80050033n],
    ]);
    expect([seen.m.vcpu.paging.cr3Lo, seen.m.vcpu.cr4, seen.m.apic.cr8]).toEqual([0x5000, 0x6a4, 3]);
    const suppressed = observed("controlRegister", false, write);
    expect([suppressed.m.vcpu.paging.cr3Lo, suppressed.m.vcpu.cr4, suppressed.m.apic.cr8]).toEqual([0, 0x6a0, 0]);
    expect(suppressed.m.vcpu.retired).toBe(seen.m.vcpu.retired);
  });

  test("controlRegister sees CLTS, and can suppress it", () => {
    const write: Write = (a) => a.mov(rax, cr0).or(rax, 8).mov(cr0, rax).clts();
    const seen = observed("controlRegister", true, write);
    expect([seen.calls.at(-1), seen.m.vcpu.cr0 & 8]).toEqual([[0, 0x80050033n], 0]);
    const m = machine(write);
    m.vcpu.hooks = { controlRegister: (_, value) => (value & 8n) !== 0n };
    m.go();
    expect(m.vcpu.cr0 & 8).toBe(8);
  });

  test("msrWrite and msrRead see WRMSR and RDMSR; msrWrite can suppress", () => {
    const write: Write = (a) => a.mov(ecx, 0xc0000102).mov(eax, 7).mov(edx, 1).wrmsr().rdmsr();
    expect(observed("msrWrite", true, write).calls).toEqual([[0xc0000102, 0x1_0000_0007n]]);
    expect(observed("msrWrite", true, write).m.vcpu.msr(0xc0000102)).toEqual([7, 1]);
    const suppressed = observed("msrWrite", false, write);
    expect(suppressed.m.vcpu.msr(0xc0000102)).toEqual([0, 0]);
    expect(reg(suppressed.m.vcpu, RAX)).toBe(0n);
    expect(observed("msrRead", undefined, write).calls).toEqual([[0xc0000102]]);
  });

  test("descriptorTable sees loads and stores of GDTR, IDTR, LDTR and TR", () => {
    const { calls } = observed("descriptorTable", undefined, (a) =>
      a.sgdt(mem(DATA)).lgdt(mem(DATA)).sidt(mem(DATA)).lidt(mem(DATA)).str(ax).sldt(ax).mov(eax, 0).lldt(ax),
    );
    expect(calls).toEqual([
      ["gdtr", false],
      ["gdtr", true],
      ["idtr", false],
      ["idtr", true],
      ["tr", false],
      ["ldtr", false],
      ["ldtr", true],
    ]);
  });

  test("cpuid, hlt, io and mmio tell what happens", () => {
    expect(observed("cpuid", undefined, (a) => a.mov(eax, 7).mov(ecx, 0).cpuid()).calls).toEqual([[7, 0]]);
    expect(observed("hlt", undefined, (a) => a.nop()).calls).toEqual([[]]);
    expect(observed("io", undefined, (a) => a.mov(eax, 5).out(0x10, al).in(al, 0x13)).calls).toEqual([
      [0x10, 1, true, 5],
      [0x13, 1, false, null],
    ]);
    expect(observed("ioRead", undefined, (a) => a.in(al, 0x13)).calls).toEqual([[0x13, 1, 0x33333333]]);
    expect(observed("mmio", undefined, (a) => a.mov(eax, mem(rbx, { disp: 4 })).mov(mem(rbx), eax)).calls).toEqual([
      [DEVICE + 4, 4, false, null, BigInt(DEVICE + 4)],
      [DEVICE, 4, true, 0x04040404n, BigInt(DEVICE)],
    ]);
    expect(observed("mmioRead", undefined, (a) => a.mov(eax, mem(rbx, { disp: 4 }))).calls).toEqual([
      [DEVICE + 4, 4, 0x04040404n],
    ]);
  });

  test("hypercall: handled, the observer's registers stay; otherwise VMCALL is #UD", () => {
    const m = machine((a) => a.mov(eax, 5).vmcall());
    m.vcpu.hooks = {
      hypercall: () => {
        setReg(m.vcpu, RAX, 99);
        return true;
      },
    };
    m.go();
    expect(reg(m.vcpu, RAX)).toBe(99n);
    for (const handled of [undefined, false]) {
      const denied =
        handled === undefined ? machine((a) => a.vmcall()) : observed("hypercall", handled, (a) => a.vmcall()).m;
      if (handled === undefined) denied.go();
      expect(rip(denied.vcpu)).toBe(HANDLERS + 16 * 6 + 1);
    }
  });

  test("breakpoint: true delivers #BP, false swallows INT3", () => {
    expect(rip(observed("breakpoint", true, (a) => a.int3()).m.vcpu)).toBe(HANDLERS + 16 * 3 + 1);
    const swallowed = observed("breakpoint", false, (a) => a.int3());
    expect(swallowed.calls).toHaveLength(1);
    expect(rip(swallowed.m.vcpu)).toBe(CODE + 2);
  });

  test("inject sees exceptions, interrupts and software interrupts with vector and error code", () => {
    expect(observed("inject", undefined, (a) => a.mov(rax, mem(0x7fff0000))).calls).toEqual([
      [14, 0, "exception", 0x7fff0000n],
    ]);
    expect(observed("inject", undefined, (a) => a.int(0x33)).calls).toEqual([[0x33, null, "software", null]]);
    const calls: unknown[][] = [];
    const m = machine((a) => a.sti().nop());
    m.vcpu.hooks = { inject: (...args) => void calls.push(args) };
    m.interrupt(0x40);
    m.go();
    expect(calls).toEqual([[0x40, null, "interrupt", null]]);
  });

  test("syscall sees the caller's registers", () => {
    const m = machine((a) => a.mov(eax, 39).syscall());
    m.vcpu.msrs.set(0xc0000082, [HANDLERS, 0]);
    const seen: [bigint, number, number][] = [];
    m.vcpu.hooks = { syscall: () => void seen.push([reg(m.vcpu, RAX), m.vcpu.cpl, m.vcpu.ripLo]) };
    m.setPrivilege(m.vcpu, 3);
    m.go();
    expect(seen).toEqual([[39n, 3, CODE + 5]]);
  });

  test("singleStep is called once for every instruction, with RIP behind it", () => {
    const seen: number[] = [];
    const m = machine((a) => a.nop().mov(eax, 1).inc(rax));
    m.vcpu.singleStep = true;
    m.vcpu.hooks = { singleStep: () => void seen.push(rip(m.vcpu) - CODE) };
    m.go();
    expect(seen).toEqual([1, 6, 9, 10]);
  });

  test("execute is called before each run of a watched instruction, which the guest cannot tell", () => {
    const seen: number[] = [];
    const m = machine((a) => {
      const again = a.label("again");
      a.mov(ecx, 3)
        .bind(again)
        .inc(rax)
        .dec(ecx)
        .jnz(again)
        .mov(rcx, mem(CODE + 5));
    });
    m.vcpu.watchCode(CODE + 5, 0, true);
    m.vcpu.hooks = { execute: (at) => void seen.push(Number(at) - CODE, Number(reg(m.vcpu, RCX))) };
    m.go();
    expect(seen).toEqual([5, 3, 5, 2, 5, 1]);
    expect(reg(m.vcpu, RAX)).toBe(3n);
    // INC RAX, as it was written.
    expect(reg(m.vcpu, RCX) & 0xffn).toBe(0x48n);
  });

  test("execute can leave the instruction undone; it is asked again", () => {
    let left = 2;
    const m = machine((a) => a.nop().inc(rax));
    m.vcpu.watchCode(CODE + 1, 0, true);
    m.vcpu.hooks = { execute: () => void (left-- > 0 && m.vcpu.leave()) };
    for (const _ of [0, 1]) {
      expect(m.go().reason).toBe("intercepted");
      expect([rip(m.vcpu), reg(m.vcpu, RAX)]).toEqual([CODE + 1, 0n]);
    }
    expect(m.go().reason).toBe("hlt");
    m.vcpu.watchCode(CODE + 1, 0, false);
    expect(m.vcpu.guards(CODE, 0)).toBe(false);
  });

  test("all watched instructions are let go at once", () => {
    const seen: number[] = [];
    const m = machine((a) => a.nop().inc(rax));
    m.vcpu.watchCode(CODE, 0, true);
    m.vcpu.watchCode(CODE + 1, 0, true);
    m.vcpu.hooks = { execute: (at) => void seen.push(Number(at) - CODE) };
    m.vcpu.unwatchCode();
    expect(m.vcpu.guards(CODE, 0)).toBe(false);
    m.go();
    expect([seen, reg(m.vcpu, RAX)]).toEqual([[], 1n]);
  });

  test("extendedControl is not reached: XSETBV is #UD while CR4.OSXSAVE cannot be set", () => {
    const { calls, m } = observed("extendedControl", true, (a) => a.xsetbv());
    expect(calls).toEqual([]);
    expect(rip(m.vcpu)).toBe(HANDLERS + 16 * 6 + 1);
  });
});

describe("withheld pages", () => {
  const kinds: readonly (readonly [string, number, Write])[] = [
    ["read", Licence.Read, (a) => a.mov(rcx, mem(DATA))],
    ["write", Licence.Write, (a) => a.mov(mem(DATA), rcx)],
    ["read-modify-write", Licence.Write, (a) => a.add(mem(DATA, { size: 8 }), 1)],
    ["fetch", Licence.Fetch, (a) => a.jmp(DATA)],
    ["string write", Licence.Write, (a) => a.mov(rdi, DATA).mov(ecx, 16).rep().stosb()],
  ];

  test.each(kinds)("%s: without a hook the run ends with a memory-fault and nothing done", (_, kind, write) => {
    const m = machine(write);
    m.write(DATA, [0xf4]);
    m.map(DATA, { withheld: kind });
    const exit = m.go();
    expect(exit).toEqual({ reason: "memory-fault", gfn: DATA >> 12, access: kind });
    const { retired } = m.vcpu;
    expect(m.ram[DATA]).toBe(0xf4);
    // Asking again gives the same answer, and no instruction.
    expect(m.vcpu.run(10)).toEqual(exit);
    expect(m.vcpu.retired).toBe(retired);
    m.map(DATA, {});
    expect(m.go()).toEqual({ reason: "hlt" });
  });

  test.each(kinds)("%s: a hook that lets it pass has the access tried again", (_, kind, write) => {
    const m = machine(write);
    m.write(DATA, [0xf4]);
    m.map(DATA, { withheld: kind });
    const calls: (number | bigint)[][] = [];
    m.vcpu.hooks = {
      pageAccess: (gfn, access, address) => {
        calls.push([gfn, access, address & ~0xfffn]);
        m.map(DATA, {});
        return true;
      },
    };
    expect(m.go()).toEqual({ reason: "hlt" });
    expect(calls).toEqual([[DATA >> 12, kind, BigInt(DATA)]]);
    const plain = machine(write);
    plain.write(DATA, [0xf4]);
    plain.go();
    expect(m.vcpu.retired).toBe(plain.vcpu.retired);
    expect(m.q(DATA)).toBe(plain.q(DATA));
  });

  test("other kinds of access to the page pass unseen", () => {
    const m = machine((a) => a.mov(rcx, mem(DATA)).mov(rax, rcx));
    m.qword(DATA, 5);
    m.map(DATA, { withheld: Licence.Write });
    expect(m.go()).toEqual({ reason: "hlt" });
    expect([reg(m.vcpu, RCX), m.vcpu.retired]).toEqual([5n, 3]);
  });

  test("hooks that are absent cost no instruction: counts are those of a run with hooks", () => {
    const write: Write = (a) => a.mov(ecx, 0xc0000102).rdmsr().cpuid().out(0x10, al).mov(eax, mem(rbx));
    const plain = machine(write);
    plain.go();
    expect(observed("msrRead", undefined, write).m.vcpu.retired).toBe(plain.vcpu.retired);
    expect(observed("mmio", undefined, write).m.vcpu.counts).toEqual(plain.vcpu.counts);
  });
});

test("kick ends the run at the next instruction boundary", () => {
  const m = machine((a) => a.nop().out(0x10, al).nop());
  m.bus.onIoWrite = () => m.vcpu.kick();
  expect(m.vcpu.run(1000)).toEqual({ reason: "kicked" });
  expect([rip(m.vcpu), m.vcpu.retired]).toEqual([CODE + 3, 2]);
  expect(m.go()).toEqual({ reason: "hlt" });
});

test("a processor that halts as it is kicked says that it has halted: it is not run again for that", () => {
  const m = machine((a) => a.nop());
  m.vcpu.hooks = { hlt: () => m.vcpu.kick() };
  expect(m.vcpu.run(1000)).toEqual({ reason: "hlt" });
});
