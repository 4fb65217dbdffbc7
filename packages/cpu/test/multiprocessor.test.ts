import { type Assembler, al, ax, cr0, cr3, cr4, ds, eax, ebx, ecx, edx, mem, rax, rbx, rcx, ss } from "@vm/asm";
import { describe, expect, test } from "vitest";
import type { Vcpu } from "../src/index.js";
import {
  CODE,
  DATA,
  FakeMachine,
  GDT,
  HANDLERS,
  KERNEL_STACK,
  RAX,
  RBX,
  RCX,
  reg,
  rip,
  setReg,
} from "./fake-machine.js";

function pair(): { m: FakeMachine; one: Vcpu; two: Vcpu } {
  const m = new FakeMachine({ cpus: 2 });
  const [one, two] = m.vcpus as [Vcpu, Vcpu];
  setReg(two, 4, KERNEL_STACK - 0x800);
  return { m, one, two };
}
/** Round-robin in slices until both halt. */
function turns(m: FakeMachine, slice: number): void {
  for (let k = 0; k < 100_000; k++) {
    const exits = m.vcpus.map((vcpu) => vcpu.run(slice).reason);
    if (exits.every((reason) => reason === "hlt")) return;
  }
  throw new Error("still running");
}

describe("two vCPUs share memory", () => {
  test("LOCK ADD from both adds up, whatever the slices are", () => {
    for (const slice of [1, 3, 1000]) {
      const { m } = pair();
      m.assemble(CODE, (a) => {
        a.mov(ecx, 500);
        const again = a.here();
        a.lock()
          .add(mem(DATA, { size: 8 }), 1)
          .dec(ecx)
          .jnz(again)
          .hlt();
      });
      turns(m, slice);
      expect(m.q(DATA)).toBe(1000n);
    }
  });

  test("a message and its flag are seen in order", () => {
    const { m, one, two } = pair();
    m.assemble(CODE, (a) =>
      a
        .mov(mem(DATA + 8, { size: 8 }), 42)
        .mov(mem(DATA, { size: 8 }), 1)
        .hlt(),
    );
    m.assemble(0x11000, (a) => {
      const wait = a.here();
      a.pause()
        .cmp(mem(DATA, { size: 8 }), 0)
        .jz(wait)
        .mov(rax, mem(DATA + 8))
        .hlt();
    });
    two.setRip(0x11000, 0);
    two.run(100);
    one.run(100);
    two.run(100);
    expect(reg(two, RAX)).toBe(42n);
  });

  test("code that one runs and the other rewrites is run anew", () => {
    const { m, one, two } = pair();
    m.assemble(0x11000, (a) => {
      const again = a.here();
      a.emit([0xb8, 1, 0, 0, 0]).inc(rcx).jmp(again);
    });
    m.assemble(CODE, (a) => a.mov(mem(0x11001, { size: 1 }), 9).hlt());
    two.setRip(0x11000, 0);
    two.run(31);
    expect(reg(two, RAX)).toBe(1n);
    // The other one has a write licence for the page already when code is first decoded there, or not: both ways.
    one.run(10);
    two.run(31);
    expect(reg(two, RAX)).toBe(9n);
  });

  test("a write licence taken before the page became code does not hide the store", () => {
    const { m, one, two } = pair();
    m.assemble(CODE, (a) =>
      a
        .mov(mem(0x11800, { size: 1 }), 0)
        .out(1, al)
        .mov(mem(0x11001, { size: 1 }), 9)
        .hlt(),
    );
    m.write(0x11000, [0xb8, 1, 0, 0, 0, 0xf4]);
    one.run(2);
    two.setRip(0x11000, 0);
    two.run(2);
    expect(reg(two, RAX)).toBe(1n);
    one.run(10);
    two.activity = "active";
    two.setRip(0x11000, 0);
    two.run(2);
    expect(reg(two, RAX)).toBe(9n);
  });

  test("registers, interrupts and counts are each one's own", () => {
    const { m, one, two } = pair();
    m.assemble(CODE, (a) => a.sti().inc(rax).inc(rax).hlt());
    one.run(1);
    m.interrupt(0x40, 1);
    one.run(10);
    expect([reg(one, RAX), one.retired, one.counts.interrupts]).toEqual([2n, 4, 0]);
    m.go(two);
    expect(rip(two)).toBe(HANDLERS + 16 * 0x40 + 1);
  });
});

/** Real mode at a SIPI vector, then protected and long mode with the machine's own GDT; ends halted with RBX = 64. */
function trampoline(a: Assembler, at: number): void {
  const gdtr = a.label("gdtr");
  const protectedMode = a.label("protected");
  const longMode = a.label("long");
  a.cli()
    .mov(ax, at >> 4)
    .mov(ds, ax)
    .inc(mem(0xf00, { size: 2 }));
  // LGDT with a 32-bit operand from DS:0xf10.
  a.emit([0x66, 0x0f, 0x01, 0x16, 0x10, 0x0f]);
  a.mov(eax, cr0).or(eax, 1).mov(cr0, eax);
  // JMP 0x38:protected
  a.emit([0x66, 0xea]).dd(protectedMode).dw(0x38);
  a.bits = 32;
  a.bind(protectedMode).mov(eax, 0x40).mov(ds, ax).mov(ss, ax).mov(ebx, 32);
  a.mov(eax, cr4).or(eax, 0x20).mov(cr4, eax).mov(eax, 0x60000).mov(cr3, eax);
  a.mov(ecx, 0xc0000080).mov(eax, 0x100).mov(edx, 0).wrmsr();
  a.mov(eax, cr0).or(eax, 0x80000000).mov(cr0, eax);
  a.emit([0xea]).dd(longMode).dw(8);
  a.bits = 64;
  a.bind(longMode).mov(rbx, 64).hlt();
  a.bind(gdtr);
}

describe("INIT and SIPI", () => {
  const AT = 0x12000;
  function started(): { m: FakeMachine; two: Vcpu } {
    const { m, two } = pair();
    m.assemble(AT, (a) => trampoline(a, AT), 16);
    m.view.setUint16(AT + 0xf10, 9 * 8 - 1, true);
    m.view.setUint32(AT + 0xf12, GDT, true);
    return { m, two };
  }

  test("INIT stops a vCPU until SIPI starts it in real mode; it gets to long mode by itself", () => {
    const { m, two } = started();
    two.init();
    expect(two.run(10)).toEqual({ reason: "wait-for-sipi" });
    expect(two.runnable).toBe(false);
    two.sipi(AT >> 12);
    expect([two.mode, two.segments[1]?.selector, rip(two)]).toEqual([16, AT >> 4, AT]);
    expect(two.run(1000)).toEqual({ reason: "hlt" });
    expect(reg(two, RBX)).toBe(64n);
    expect([two.mode, two.cpl, two.efer & 0x500]).toEqual([64, 0, 0x500]);
    expect(m.view.getUint16(AT + 0xf00, true)).toBe(1);
  });

  test("INIT turns paging off: real-mode code is fetched from physical memory", () => {
    const { m, two } = started();
    // In the address space that was in force, the trampoline is not there.
    m.map(AT, { absent: true });
    two.run(0);
    two.init();
    two.sipi(AT >> 12);
    two.run(3);
    expect([two.mode, rip(two) > AT, two.counts.faults]).toEqual([16, true, 0]);
  });

  test("SIPI without INIT is ignored, and so is a second one", () => {
    const { two } = started();
    two.sipi(0x55);
    expect(rip(two)).toBe(CODE);
    two.init();
    two.sipi(AT >> 12);
    two.sipi(0x55);
    expect(rip(two)).toBe(AT);
  });

  test("INIT resets registers but not memory or the other vCPU", () => {
    const { m, two } = started();
    setReg(two, RCX, 5);
    m.qword(DATA, 7);
    two.init();
    expect([reg(two, RCX), two.rflags, two.cr0, m.q(DATA)]).toEqual([0n, 2, 0x60000010, 7n]);
    expect(m.vcpu.mode).toBe(64);
  });

  test("the same code in 16- and 64-bit mode is decoded for each", () => {
    const { m, two } = pair();
    // 48 is DEC AX in 16-bit code and a REX prefix in 64-bit code.
    m.write(AT, [0x48, 0xff, 0xc0, 0xf4]);
    m.vcpu.setRip(AT, 0);
    m.go();
    expect(reg(m.vcpu, RAX)).toBe(1n);
    two.init();
    two.sipi(AT >> 12);
    two.run(10);
    // DEC AX, INC AX.
    expect([reg(two, RAX), two.retired]).toEqual([0n, 3]);
  });
});
