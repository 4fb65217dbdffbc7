import { al, ax, eax, mem, rax, rbx, rcx, rsp, ss } from "@vm/asm";
import { describe, expect, test } from "vitest";
import * as S from "../src/state.js";
import {
  CODE,
  DATA,
  FakeMachine,
  frame,
  HANDLERS,
  KERNEL_SS,
  KERNEL_STACK,
  RAX,
  RCX,
  reg,
  rip,
  setReg,
} from "./fake-machine.js";

const VECTOR = 0x40;
const entered = (m: FakeMachine, vector = VECTOR): boolean => rip(m.vcpu) === HANDLERS + 16 * vector + 1;

function machine(flags: number, write: Parameters<FakeMachine["assemble"]>[1]): FakeMachine {
  const m = new FakeMachine();
  m.assemble(CODE, write);
  m.vcpu.rflags = 2 | flags;
  return m;
}

describe("the interrupt window (SDM vol. 3, 6.8)", () => {
  test("an interrupt raised between two runs is delivered before the next instruction", () => {
    const m = machine(S.IF, (a) => a.inc(rax).inc(rax).inc(rax));
    m.vcpu.run(2);
    m.interrupt(VECTOR);
    m.go();
    expect(entered(m)).toBe(true);
    expect(frame(m, false)).toMatchObject({ ip: CODE + 6, sp: KERNEL_STACK });
    expect(reg(m.vcpu, RAX)).toBe(2n);
    expect(m.vcpu.counts.interrupts).toBe(1);
  });

  test("an interrupt raised by a device during an instruction is delivered right behind it", () => {
    const m = machine(S.IF, (a) => a.inc(rax).out(0x80, al).inc(rax));
    m.bus.onIoWrite = () => m.interrupt(VECTOR);
    m.go();
    expect(frame(m, false).ip).toBe(CODE + 5);
    expect(reg(m.vcpu, RAX)).toBe(1n);
  });

  test("an interrupt raised by a store to a device is delivered right behind the store", () => {
    const m = machine(S.IF, (a) => a.mov(mem(rbx), eax).inc(rax));
    setReg(m.vcpu, 3, 0xf0000000);
    m.bus.onMmioWrite = () => m.interrupt(VECTOR);
    m.go();
    expect(frame(m, false).ip).toBe(CODE + 2);
  });

  test("with IF clear an interrupt waits, and STI lets one more instruction pass", () => {
    const m = machine(0, (a) => a.inc(rax).sti().inc(rax).inc(rax));
    m.interrupt(VECTOR);
    m.go();
    expect(entered(m)).toBe(true);
    expect(frame(m, false).ip).toBe(CODE + 7);
    expect(reg(m.vcpu, RAX)).toBe(2n);
  });

  test("the shadow of STI holds wherever a budget ends, also for an interrupt that comes only then", () => {
    for (const before of [true, false]) {
      const m = machine(0, (a) => a.sti().inc(rax).inc(rax));
      if (before) m.interrupt(VECTOR);
      m.vcpu.run(1);
      if (!before) m.interrupt(VECTOR);
      m.go();
      expect(frame(m, false).ip).toBe(CODE + 4);
    }
  });

  test("STI; HLT never sleeps through an interrupt", () => {
    for (const when of ["before", "between", "after"]) {
      const m = machine(0, (a) => a.sti().hlt().inc(rax));
      if (when === "before") m.interrupt(VECTOR);
      m.vcpu.run(1);
      if (when === "between") m.interrupt(VECTOR);
      if (when === "after") {
        expect(m.go()).toEqual({ reason: "hlt" });
        m.interrupt(VECTOR);
      }
      m.go();
      expect(frame(m, false).ip).toBe(CODE + 2);
    }
  });

  test("STI with IF already set gives no shadow", () => {
    const m = machine(S.IF, (a) => a.sti().inc(rax));
    m.vcpu.run(1);
    m.interrupt(VECTOR);
    m.go();
    expect(frame(m, false).ip).toBe(CODE + 1);
  });

  test("CLI right behind STI leaves no window", () => {
    const m = machine(0, (a) => a.sti().cli().inc(rax).hlt());
    m.interrupt(VECTOR);
    expect(m.go()).toEqual({ reason: "hlt" });
    expect(rip(m.vcpu)).toBe(CODE + 6);
    expect(m.apic.waiting).toEqual([VECTOR]);
  });

  test("POPF and IRETQ that set IF let a waiting interrupt in at once", () => {
    const popf = machine(0, (a) => a.popfq().inc(rax));
    popf.qword(KERNEL_STACK - 8, 2 | S.IF);
    setReg(popf.vcpu, 4, KERNEL_STACK - 8);
    popf.interrupt(VECTOR);
    popf.go();
    expect(frame(popf, false).ip).toBe(CODE + 1);

    const iret = machine(0, (a) => a.iretq());
    const sp = KERNEL_STACK - 40;
    [DATA, 8, 2 | S.IF, KERNEL_STACK, KERNEL_SS].forEach((v, k) => {
      iret.qword(sp + 8 * k, v);
    });
    setReg(iret.vcpu, 4, sp);
    iret.interrupt(VECTOR);
    iret.go();
    expect(frame(iret, false).ip).toBe(DATA);
  });

  test("MOV SS and POP SS hold interrupts off for one instruction", () => {
    const m = machine(S.IF, (a) => a.out(0x80, al).mov(ss, ax).mov(rsp, rcx).inc(rbx));
    setReg(m.vcpu, RAX, KERNEL_SS);
    setReg(m.vcpu, RCX, KERNEL_STACK - 0x100);
    m.vcpu.rflags = 2;
    m.vcpu.run(1);
    m.vcpu.rflags = 2 | S.IF;
    m.vcpu.run(1);
    m.interrupt(VECTOR);
    m.go();
    expect(frame(m, false)).toMatchObject({ ip: CODE + 8, sp: KERNEL_STACK - 0x100 });
  });

  test("the task priority in CR8 holds back lower classes until it is lowered", () => {
    const m = machine(S.IF, (a) => a.emit([0x44, 0x0f, 0x22, 0xc0]).inc(rbx).emit([0x44, 0x0f, 0x22, 0xc1]).inc(rbx));
    setReg(m.vcpu, RAX, 5);
    m.vcpu.run(1);
    m.interrupt(VECTOR);
    m.go();
    expect(frame(m, false).ip).toBe(CODE + 11);
    expect(reg(m.vcpu, 3)).toBe(1n);
  });
});

describe("HLT", () => {
  test("ends the run until an interrupt is there and IF lets it in", () => {
    const m = machine(S.IF, (a) => a.hlt().inc(rax));
    expect(m.go()).toEqual({ reason: "hlt" });
    expect(m.vcpu.runnable).toBe(false);
    expect(m.vcpu.run(100)).toEqual({ reason: "hlt" });
    expect(m.vcpu.retired).toBe(1);
    m.interrupt(VECTOR);
    expect(m.vcpu.runnable).toBe(true);
    m.go();
    expect(frame(m, false).ip).toBe(CODE + 1);
  });

  test("with IF clear only an NMI wakes", () => {
    const m = machine(0, (a) => a.hlt());
    m.go();
    m.interrupt(VECTOR);
    expect(m.vcpu.runnable).toBe(false);
    expect(m.vcpu.run(10)).toEqual({ reason: "hlt" });
    m.vcpu.nmi();
    m.go();
    expect(entered(m, 2)).toBe(true);
  });

  test("a halt that masked interrupts end goes on without taking them", () => {
    const m = machine(0, (a) => a.inc(rax).inc(rax).sti().inc(rax).inc(rax));
    m.vcpu.run(1);
    m.vcpu.halt(true);
    expect([m.go(), m.vcpu.runnable, m.vcpu.stuck]).toEqual([{ reason: "hlt" }, false, false]);
    m.interrupt(VECTOR);
    expect(m.vcpu.runnable).toBe(true);
    m.go();
    // Behind STI and the instruction in its shadow.
    expect(frame(m, false).ip).toBe(CODE + 10);
    m.vcpu.halt();
    expect([m.vcpu.runnable, m.vcpu.stuck]).toEqual([false, true]);
  });

  test("an injected event wakes", () => {
    const m = machine(0, (a) => a.hlt());
    m.go();
    m.vcpu.inject(13, 0x18);
    m.go();
    expect(entered(m, 13)).toBe(true);
    expect(frame(m, true)).toMatchObject({ error: 0x18, ip: CODE + 1 });
  });
});

describe("NMI", () => {
  test("ignores IF, and blocks the next one until IRET", () => {
    const m = machine(0, (a) => a.inc(rax).inc(rax));
    m.assemble(HANDLERS + 32, (a) => a.inc(rcx).iretq());
    m.vcpu.nmi();
    m.vcpu.run(1);
    expect(reg(m.vcpu, RCX)).toBe(1n);
    m.vcpu.nmi();
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(CODE);
    m.vcpu.run(1);
    expect(reg(m.vcpu, RCX)).toBe(2n);
  });
});

describe("single step (SDM vol. 3, 17.3.1.4)", () => {
  /** A #DB handler that notes the addresses it returns to, one after the other from `DATA`. */
  function traced(flags: number, write: Parameters<FakeMachine["assemble"]>[1]): FakeMachine {
    const m = machine(flags, write);
    m.assemble(HANDLERS + 16, (a) => a.jmp(0x12000));
    m.assemble(0x12000, (a) =>
      a
        .push(rax)
        .mov(rax, mem(rsp, { disp: 8 }))
        .mov(mem(rcx), rax)
        .add(rcx, 8)
        .pop(rax)
        .iretq(),
    );
    setReg(m.vcpu, RCX, DATA);
    return m;
  }
  const steps = (m: FakeMachine): number[] =>
    Array.from({ length: Number(reg(m.vcpu, RCX) - BigInt(DATA)) / 8 }, (_, k) => Number(m.q(DATA + 8 * k)) - CODE);

  test("TF traps behind every instruction, and DR6.BS says so", () => {
    const m = traced(S.TF, (a) => a.inc(rbx).nop().inc(rbx).hlt());
    m.go();
    m.go();
    expect(steps(m).slice(0, 3)).toEqual([3, 4, 7]);
    expect((m.vcpu.dr[12] as number) & 0x4000).toBe(0x4000);
  });

  test("POPF that sets TF does not trap itself; the next instruction does", () => {
    const m = traced(0, (a) => a.popfq().nop().nop().hlt());
    m.qword(KERNEL_STACK - 8, 2 | S.TF);
    setReg(m.vcpu, 4, KERNEL_STACK - 8);
    m.vcpu.run(20);
    expect(steps(m).slice(0, 2)).toEqual([2, 3]);
  });

  test("INT n enters its handler without a trap", () => {
    const m = traced(S.TF, (a) => a.int(VECTOR).nop());
    m.go();
    expect(entered(m)).toBe(true);
    expect(steps(m)).toEqual([]);
    expect(frame(m, false)).toMatchObject({ ip: CODE + 2, flags: 2 | S.TF });
  });

  test("SYSCALL that masks TF enters the kernel without a trap", () => {
    const m = traced(S.TF, (a) => a.syscall());
    m.vcpu.msrs.set(0xc0000081, [0, (0x13 << 16) | 8]);
    m.vcpu.msrs.set(0xc0000082, [HANDLERS + 16 * VECTOR, 0]);
    m.vcpu.msrs.set(0xc0000084, [S.TF, 0]);
    m.go();
    expect(entered(m)).toBe(true);
    expect(m.vcpu.counts.faults).toBe(0);
  });

  test("SYSRET that sets TF traps at its target", () => {
    const m = traced(0, (a) => a.sysretq());
    m.gate(1, { handler: HANDLERS + 16 * VECTOR });
    m.vcpu.msrs.set(0xc0000081, [0, (0x13 << 16) | 8]);
    setReg(m.vcpu, RCX, DATA);
    setReg(m.vcpu, 11, 2 | S.TF);
    m.go();
    expect(entered(m)).toBe(true);
    expect(frame(m, false).ip).toBe(DATA);
  });

  test("a fault before the end of the instruction gives no trap", () => {
    const m = traced(S.TF, (a) => a.ud2());
    m.go();
    expect(entered(m, 6)).toBe(true);
    expect(frame(m, false)).toMatchObject({ ip: CODE, flags: 2 | S.TF | S.RF });
  });
});
