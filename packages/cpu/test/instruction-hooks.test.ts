import { al, eax, ecx, edx, mem, rax, rbx, rdi, rdx, rsi, xmm0 } from "@vm/asm";
import { describe, expect, test } from "vitest";
import type { VcpuHooks } from "../src/index.js";
import { CODE, DATA, DEVICE, FakeMachine, HANDLERS, RAX, RBX, RCX, RDX, reg, rip, setReg } from "./fake-machine.js";

type Write = Parameters<FakeMachine["assemble"]>[1];

const TDCALL = [0x66, 0x0f, 0x01, 0xcc];

function machine(write: Write, from = CODE): FakeMachine {
  const m = new FakeMachine();
  m.assemble(from, (a) => {
    write(a);
    a.hlt();
  });
  m.vcpu.setRip(from, 0);
  setReg(m.vcpu, RBX, DEVICE);
  setReg(m.vcpu, RDX, 0);
  return m;
}

/** Where the run has ended: behind the HLT of an exception's handler, or behind that of the program. */
const handlerOf = (m: FakeMachine): number => (rip(m.vcpu) - 1 - HANDLERS) / 16;

describe("TDCALL", () => {
  test("is done by an observer, whose registers stay", () => {
    const m = machine((a) => a.mov(eax, 3).emit(TDCALL).inc(rdx));
    m.vcpu.hooks.tdcall = () => {
      setReg(m.vcpu, RAX, 0);
      setReg(m.vcpu, RCX, 48);
      return true;
    };
    expect(m.go().reason).toBe("hlt");
    expect([reg(m.vcpu, RAX), reg(m.vcpu, RCX), reg(m.vcpu, RDX)]).toEqual([0n, 48n, 1n]);
  });

  test.each([
    ["without an observer", undefined],
    ["that an observer does not know", () => false],
  ] as const)("%s is #UD", (_, tdcall) => {
    const m = machine((a) => a.emit(TDCALL));
    m.vcpu.hooks = tdcall === undefined ? {} : { tdcall };
    m.go();
    expect(handlerOf(m)).toBe(6);
  });

  test("is asked about at CPL 3, too", () => {
    const m = machine((a) => a.emit(TDCALL));
    m.setPrivilege(m.vcpu, 3);
    m.vcpu.hooks.tdcall = () => m.vcpu.raiseError(13, 0);
    m.go();
    expect([handlerOf(m), m.q(Number(reg(m.vcpu, 4)) + 8)]).toEqual([13, BigInt(CODE)]);
  });

  test("leaves done, if the observer kicks and says true; and undone, if it leaves", () => {
    const m = machine((a) => a.emit(TDCALL).inc(rdx));
    let asked = 0;
    m.vcpu.hooks.tdcall = () => {
      asked++;
      if (asked === 1) return m.vcpu.leave();
      m.vcpu.kick();
      return true;
    };
    expect(m.go().reason).toBe("intercepted");
    expect(rip(m.vcpu)).toBe(CODE);
    expect(m.go().reason).toBe("kicked");
    expect(rip(m.vcpu)).toBe(CODE + TDCALL.length);
    setReg(m.vcpu, RDX, 7);
    expect(m.go().reason).toBe("hlt");
    expect([asked, reg(m.vcpu, RDX)]).toEqual([2, 8n]);
  });

  test.each([
    ["0F 01 CC", [0x0f, 0x01, 0xcc]],
    ["F3 0F 01 CC", [0xf3, 0x0f, 0x01, 0xcc]],
    ["F2 66 0F 01 CC", [0xf2, 0x66, 0x0f, 0x01, 0xcc]],
    ["LOCK TDCALL", [0xf0, ...TDCALL]],
    ["SEAMCALL", [0x66, 0x0f, 0x01, 0xcf]],
    ["SEAMRET", [0x66, 0x0f, 0x01, 0xcd]],
    ["SEAMOPS", [0x66, 0x0f, 0x01, 0xce]],
  ])("is not %s, which is #UD", (_, bytes) => {
    const m = machine((a) => a.emit(bytes));
    let asked = 0;
    m.vcpu.hooks.tdcall = () => ++asked > 0;
    m.go();
    expect([handlerOf(m), asked]).toEqual([6, 0]);
  });
});

describe.each([
  ["monitor", [0x0f, 0x01, 0xc8], 6],
  ["mwait", [0x0f, 0x01, 0xc9], 6],
  ["rdpmc", [0x0f, 0x33], 13],
] as const)("%s", (name, bytes, otherwise) => {
  const write: Write = (a) => a.mov(ecx, 5).emit([...bytes]);

  test("is done by an observer, or raises what it raises without one", () => {
    for (const answer of [true, false, undefined]) {
      const m = machine(write);
      const calls: unknown[][] = [];
      const hook = (...args: unknown[]): boolean => calls.push(args) > 0 && answer === true;
      if (answer !== undefined) m.vcpu.hooks = { [name]: hook };
      m.go();
      expect(handlerOf(m) === otherwise).toBe(answer !== true);
      if (answer !== undefined) expect(calls).toEqual([name === "rdpmc" ? [5] : []]);
    }
  });

  test("is not asked about at CPL 3", () => {
    const m = machine(write);
    m.setPrivilege(m.vcpu, 3);
    let asked = 0;
    m.vcpu.hooks = { [name]: () => ++asked > 0 };
    m.go();
    expect([handlerOf(m), asked]).toEqual([otherwise, 0]);
  });

  test("gives way to an exception that an observer raises", () => {
    const m = machine(write);
    m.vcpu.hooks = { [name]: () => m.vcpu.raise(20) };
    m.go();
    expect([handlerOf(m), m.q(Number(reg(m.vcpu, 4)))]).toEqual([20, BigInt(CODE + 5)]);
  });
});

test("RDPMC is asked about at CPL 3 under CR4.PCE", () => {
  const m = machine((a) => a.emit([0x0f, 0x33, 0xcd, 0x33]));
  m.gate(0x33, { dpl: 3 });
  m.vcpu.cr4 |= 0x100;
  m.setPrivilege(m.vcpu, 3);
  m.vcpu.hooks.rdpmc = () => true;
  m.go();
  expect(handlerOf(m)).toBe(0x33);
});

test("INVD and WBINVD at CPL 3 are #GP, and nobody is asked", () => {
  for (const bytes of [
    [0x0f, 0x08],
    [0x0f, 0x09],
    [0xf3, 0x0f, 0x09],
  ]) {
    const m = machine((a) => a.emit(bytes));
    m.setPrivilege(m.vcpu, 3);
    let asked = 0;
    m.vcpu.hooks = { invd: () => void asked++, wbinvd: () => void asked++ };
    m.go();
    expect([handlerOf(m), asked]).toEqual([13, 0]);
  }
});

/** Instructions that hooks are asked about, with their bytes. */
const ASKED: readonly (readonly [name: string, hook: keyof VcpuHooks, bytes: readonly number[]])[] = [
  ["CPUID", "cpuid", [0x0f, 0xa2]],
  ["CPUID with prefixes", "cpuid", [0x2e, 0x66, 0x48, 0x0f, 0xa2]],
  ["HLT", "hlt", [0xf4]],
  ["RDMSR", "msrRead", [0x0f, 0x32]],
  ["WRMSR", "msrWrite", [0x0f, 0x30]],
  ["MOV CR3", "controlRegister", [0x0f, 0x22, 0xd8]],
  ["WBINVD", "wbinvd", [0x0f, 0x09]],
  ["WBNOINVD", "wbinvd", [0xf3, 0x0f, 0x09]],
  ["INVD", "invd", [0x0f, 0x08]],
  ["MONITOR", "monitor", [0x0f, 0x01, 0xc8]],
  ["MWAIT", "mwait", [0x0f, 0x01, 0xc9]],
  ["RDPMC", "rdpmc", [0x0f, 0x33]],
  ["VMCALL", "hypercall", [0x0f, 0x01, 0xc1]],
  ["TDCALL", "tdcall", TDCALL],
  ["IN AL, imm8", "io", [0xe4, 0x13]],
  ["OUT DX, AX", "io", [0x66, 0xef]],
  ["INSB", "io", [0x6c]],
  ["REP OUTSW", "io", [0x66, 0xf3, 0x6f]],
  ["MOV EAX, [RBX]", "mmio", [0x8b, 0x03]],
  ["MOV [RBX+disp32], RDX", "mmio", [0x48, 0x89, 0x93, 0x10, 0, 0, 0]],
  ["MOV byte [RBX], imm8", "mmio", [0xc6, 0x03, 0x55]],
  ["ADD [RBX], EAX", "mmio", [0x01, 0x03]],
  ["XCHG [RBX], RDX", "mmio", [0x48, 0x87, 0x13]],
  ["BTS [RBX], imm8", "mmio", [0x0f, 0xba, 0x2b, 0x05]],
  ["MOV EAX, [EBX]", "mmio", [0x67, 0x8b, 0x03]],
  ["PUSH [RBX]", "mmio", [0xff, 0x33]],
  ["MOVDQU XMM0, [RBX]", "mmio", [0xf3, 0x0f, 0x6f, 0x03]],
  ["MOVDQU [RBX], XMM0", "mmio", [0xf3, 0x0f, 0x7f, 0x03]],
  ["FSTP qword [RBX]", "mmio", [0xdd, 0x1b]],
  ["MOV EDX, [RBX-2], across two pages", "mmio", [0x8b, 0x53, 0xfe]],
  ["MOV [RBX-2], EDX, across two pages", "mmio", [0x89, 0x53, 0xfe]],
  ["REP STOSB", "mmio", [0xf3, 0xaa]],
  ["REP MOVSQ", "mmio", [0xf3, 0x48, 0xa5]],
];

describe.each([
  ["in the middle of a page", CODE + 0x100],
  ["across two pages", CODE + 0xfff],
])("an instruction %s", (_, at) => {
  test.each(ASKED)("%s has its length in bytes while %s is asked, and none before and behind", (_name, hook, bytes) => {
    const m = machine((a) => a.emit([...bytes]), at);
    m.map(DEVICE - 4096, { gfn: DATA >> 12 });
    setReg(m.vcpu, RCX, 1);
    setReg(m.vcpu, RDX, 0x13);
    setReg(m.vcpu, 6, DATA);
    setReg(m.vcpu, 7, hook === "io" ? DATA : DEVICE);
    const lengths: number[] = [];
    m.vcpu.hooks = {
      [hook]: () => {
        lengths.push(m.vcpu.instructionLength);
        return true;
      },
    };
    expect(m.vcpu.instructionLength).toBe(0);
    m.vcpu.run(1);
    expect(lengths.length).toBeGreaterThan(0);
    expect(new Set(lengths)).toEqual(new Set([bytes.length]));
    expect(m.vcpu.instructionLength).toBe(0);
  });
});

test("the length is that of the instruction in hot code, too", () => {
  const m = machine((a) => {
    const again = a.label("again");
    a.mov(ecx, 300)
      .bind(again)
      .inc(rax)
      .mov(eax, mem(rbx))
      .mov(mem(rbx, { disp: 8 }), rdx)
      .dec(ecx)
      .jnz(again);
  });
  const seen = new Set<string>();
  m.vcpu.hooks.mmio = (gpa, _size, write) => void seen.add(`${gpa - DEVICE} ${write} ${m.vcpu.instructionLength}`);
  m.go();
  expect([...seen]).toEqual(["0 false 2", "8 true 4"]);
});

test("no instruction is named where none is executed", () => {
  const m = machine((a) => a.mov(rax, mem(0x7fff0000)));
  const lengths: number[] = [];
  m.vcpu.singleStep = true;
  m.vcpu.watchCode(CODE, 0, true);
  const look = (): void => void lengths.push(m.vcpu.instructionLength);
  m.vcpu.hooks = { inject: look, execute: look, singleStep: look };
  m.go();
  expect(lengths).toEqual([0, 0, 0]);
});

describe("ioForm", () => {
  const forms: readonly (readonly [string, readonly number[], unknown])[] = [
    ["IN AL, imm8", [0xe4, 0x13], { string: false, rep: false, immediate: true }],
    ["OUT imm8, EAX", [0xe7, 0x13], { string: false, rep: false, immediate: true }],
    ["IN EAX, DX", [0xed], { string: false, rep: false, immediate: false }],
    ["OUT DX, AL", [0xee], { string: false, rep: false, immediate: false }],
    ["INSB", [0x6c], { string: true, rep: false, immediate: false }],
    ["REP INSD", [0xf3, 0x6d], { string: true, rep: true, immediate: false }],
    ["OUTSB", [0x6e], { string: true, rep: false, immediate: false }],
    ["REPNE OUTSW", [0x66, 0xf2, 0x6f], { string: true, rep: true, immediate: false }],
  ];

  test.each(forms)("tells %s", (_, bytes, form) => {
    const m = machine((a) =>
      a
        .mov(edx, 0x13)
        .mov(ecx, 1)
        .mov(rdi, DATA)
        .mov(rsi, DATA)
        .emit([...bytes]),
    );
    const seen: unknown[] = [];
    m.vcpu.hooks.io = () => void seen.push(m.vcpu.ioForm);
    m.go();
    expect(seen).toEqual([form]);
    expect(m.vcpu.ioForm).toBeNull();
  });

  test("is null in other hooks", () => {
    const m = machine((a) => a.mov(eax, mem(rbx)).movdqu(xmm0, mem(rbx)).cpuid());
    const seen: unknown[] = [];
    m.vcpu.hooks = { cpuid: () => void seen.push(m.vcpu.ioForm), mmio: () => void seen.push(m.vcpu.ioForm) };
    m.go();
    expect(seen).toEqual([null, null, null, null]);
  });
});

describe("the linear address of device memory", () => {
  const LINEAR = 0x7000_0000;

  test.each([
    ["a load", (a) => a.mov(eax, mem(rbx, { disp: 0x10 })), [LINEAR + 0x10]],
    ["a store", (a) => a.mov(mem(rbx, { disp: 0x18 }), edx), [LINEAR + 0x18]],
    ["a load of 16 bytes", (a) => a.movdqu(xmm0, mem(rbx)), [LINEAR, LINEAR + 8]],
    ["a string", (a) => a.mov(ecx, 2).mov(rdi, rbx).rep().stosb(), [LINEAR, LINEAR + 1]],
  ] as [string, Write, number[]][])("is told for %s", (_, write, addresses) => {
    const m = machine(write);
    m.map(LINEAR, { gfn: DEVICE / 4096 });
    setReg(m.vcpu, RBX, LINEAR);
    const seen: bigint[] = [];
    m.vcpu.hooks.mmio = (gpa, _size, _write, _value, address) => {
      expect(gpa).toBe(DEVICE + Number(address & 0xfffn));
      seen.push(address);
    };
    m.go();
    expect(seen).toEqual(addresses.map(BigInt));
  });

  test("is that of the second page for what is there", () => {
    const m = machine((a) => a.mov(mem(rbx, { disp: 0xffe }), edx).mov(eax, mem(rbx, { disp: 0xffd })));
    m.map(LINEAR, { gfn: DATA >> 12 });
    m.map(LINEAR + 4096, { gfn: DEVICE / 4096 });
    setReg(m.vcpu, RBX, LINEAR);
    const seen: unknown[][] = [];
    m.vcpu.hooks.mmio = (gpa, size, write, _value, address) => void seen.push([gpa - DEVICE, size, write, address]);
    m.go();
    const at = BigInt(LINEAR + 4096);
    expect(seen).toEqual([
      [0, 2, true, at],
      [0, 1, false, at],
    ]);
  });
});

describe("#VE", () => {
  test("at each access of a REP MOVS to a device restarts with the registers of what is left", () => {
    const m = machine((a) => a.mov(ecx, 4).mov(rsi, DATA).mov(rdi, rbx).rep().movsb());
    m.write(DATA, [1, 2, 3, 4]);
    // The handler does what a guest does: the access, and the instruction is over for this element.
    m.assemble(HANDLERS + 16 * 20, (a) => a.iretq());
    const counts: bigint[] = [];
    let raise = true;
    m.vcpu.hooks.mmio = () => {
      counts.push(reg(m.vcpu, RCX));
      raise = !raise;
      if (!raise) m.vcpu.raise(20);
    };
    expect(m.go().reason).toBe("hlt");
    expect(counts).toEqual([4n, 4n, 3n, 3n, 2n, 2n, 1n, 1n]);
    expect(m.bus.log).toEqual([0, 1, 2, 3].map((k) => `write ${(DEVICE + k).toString(16)} 1 ${k + 1}`));
  });

  test("while #VE or a page fault is delivered is a double fault", () => {
    for (const first of [14, 20]) {
      const m = machine((a) => (first === 20 ? a.cpuid() : a.mov(rax, mem(0x7fff0000))));
      m.map(0x90000, { withheld: 2 });
      setReg(m.vcpu, 4, 0x90800);
      m.gate(8, { ist: 1 });
      m.vcpu.hooks = { cpuid: () => m.vcpu.raise(20), pageAccess: () => m.vcpu.raise(20) };
      m.go();
      expect(handlerOf(m)).toBe(8);
    }
  });
});
