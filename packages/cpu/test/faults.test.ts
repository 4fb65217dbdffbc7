import { eax, mem, rax, rbx, rcx, rdi, rsp } from "@vm/asm";
import { describe, expect, test } from "vitest";
import * as S from "../src/state.js";
import {
  CODE,
  DATA,
  FakeMachine,
  frame,
  HANDLERS,
  IDT,
  IST1,
  KERNEL_CS,
  KERNEL_SS,
  KERNEL_STACK,
  R11,
  RAX,
  RCX,
  RSP,
  RSP0,
  reg,
  rip,
  setReg,
  snapshot,
  TSS,
  USER_CS,
  USER_SS,
  USER_STACK,
} from "./fake-machine.js";

const ABSENT = 0x50000;
const at = (vector: number): number => HANDLERS + 16 * vector + 1;

/**
 * Code at `CODE` that faults at its first instruction; afterwards the vCPU is halted in the handler of `vector`.
 * @param retired instructions until then: HLT, and INT n, which counts even if its delivery faults
 */
function fault(m: FakeMachine, vector: number, errorCode: boolean, retired = 1) {
  const before = m.vcpu.retired;
  expect(m.go()).toEqual({ reason: "hlt" });
  expect(rip(m.vcpu)).toBe(at(vector));
  expect(m.vcpu.retired - before).toBe(retired);
  return frame(m, errorCode);
}

describe("page faults (SDM vol. 3, 4.7)", () => {
  const cases: readonly (readonly [string, (m: FakeMachine) => void, number])[] = [
    ["a read of an absent page", (m) => m.assemble(CODE, (a) => a.mov(rax, mem(rbx))), 0],
    ["a write to an absent page", (m) => m.assemble(CODE, (a) => a.mov(mem(rbx), rax)), 2],
    ["a read-modify-write of an absent page asks for writing", (m) => m.assemble(CODE, (a) => a.add(mem(rbx), rax)), 2],
    ["XCHG with an absent page asks for writing", (m) => m.assemble(CODE, (a) => a.xchg(mem(rbx), rax)), 2],
    [
      "a write to a read-only page",
      (m) => {
        m.map(ABSENT, { readOnly: true });
        m.assemble(CODE, (a) => a.mov(mem(rbx), rax));
      },
      3,
    ],
    [
      "PUSH with an absent stack",
      (m) => {
        m.assemble(CODE, (a) => a.push(rax));
        setReg(m.vcpu, RSP, ABSENT + 8);
        m.gate(14, { ist: 1 });
      },
      2,
    ],
    [
      "POP with an absent stack",
      (m) => {
        m.assemble(CODE, (a) => a.pop(rax));
        setReg(m.vcpu, RSP, ABSENT + 8);
        m.gate(14, { ist: 1 });
      },
      0,
    ],
  ];

  test.each(cases)("%s: error code and CR2, nothing else changed", (_, prepare, error) => {
    const m = new FakeMachine();
    m.map(ABSENT, { absent: true });
    setReg(m.vcpu, 3, ABSENT + 8);
    setReg(m.vcpu, RAX, 0x1122334455667788n);
    prepare(m);
    const [gpr, flags, sp] = [Buffer.from(m.vcpu.bytes(S.GPR, 128)), m.vcpu.rflags, Number(reg(m.vcpu, RSP))];
    const f = fault(m, 14, true);
    expect(f).toEqual({ error, ip: CODE, cs: KERNEL_CS, flags: flags | S.RF, sp, ss: KERNEL_SS });
    expect(m.vcpu.cr2Lo).toBe(_.startsWith("PUSH") ? ABSENT : ABSENT + 8);
    const now = Buffer.from(m.vcpu.bytes(S.GPR, 128));
    gpr.copyWithin(32, 40, 32);
    now.set(gpr.subarray(32, 40), 32);
    expect(now.equals(gpr)).toBe(true);
  });

  test("at CPL 3 the error code has U set, and a supervisor page is a protection violation", () => {
    const m = new FakeMachine();
    m.map(ABSENT, { supervisor: true });
    m.assemble(CODE, (a) => a.mov(rax, mem(ABSENT)));
    m.setPrivilege(m.vcpu, 3);
    setReg(m.vcpu, RSP, USER_STACK);
    expect(fault(m, 14, true)).toEqual({
      error: 5,
      ip: CODE,
      cs: USER_CS,
      flags: 2 | S.RF,
      sp: USER_STACK,
      ss: USER_SS,
    });
  });

  test("a jump to an absent or no-execute page faults at the target, with I set", () => {
    for (const [page, error] of [
      [{ absent: true }, 0x10],
      [{ noExecute: true }, 0x11],
    ] as const) {
      const m = new FakeMachine();
      m.map(ABSENT, page);
      m.assemble(CODE, (a) => a.mov(rax, ABSENT + 3).jmp(rax));
      expect(m.go().reason).toBe("hlt");
      expect(m.vcpu.retired).toBe(3);
      expect(frame(m, true)).toMatchObject({ error, ip: ABSENT + 3 });
      expect(m.vcpu.cr2Lo).toBe(ABSENT + 3);
    }
  });

  test("an instruction whose second page is absent faults with CR2 there and RIP at its start", () => {
    const m = new FakeMachine();
    const start = ABSENT - 2;
    m.map(ABSENT, { absent: true });
    m.assemble(start, (a) => a.mov(eax, 0x12345678));
    m.vcpu.setRip(start, 0);
    expect(fault(m, 14, true)).toMatchObject({ error: 0x10, ip: start });
    expect(m.vcpu.cr2Lo).toBe(ABSENT);
  });

  test("a store over two pages, the second of them read-only, writes neither", () => {
    const m = new FakeMachine();
    m.map(ABSENT, { readOnly: true });
    m.assemble(CODE, (a) => a.mov(mem(ABSENT - 4), rax));
    setReg(m.vcpu, RAX, -1n);
    expect(fault(m, 14, true)).toMatchObject({ error: 3, ip: CODE });
    expect(m.vcpu.cr2Lo).toBe(ABSENT);
    expect(m.q(ABSENT - 8)).toBe(0n);
  });

  test("the handler maps the page, and the instruction runs as if nothing had happened", () => {
    const m = new FakeMachine();
    m.map(ABSENT, { absent: true });
    m.assemble(CODE, (a) => a.mov(rax, 7).add(mem(ABSENT), rax).hlt());
    m.assemble(HANDLERS + 16 * 14, (a) => a.out(1, eax).add(rsp, 8).iretq());
    m.bus.onIoWrite = () => m.map(ABSENT, {});
    expect(m.go().reason).toBe("hlt");
    expect(rip(m.vcpu)).toBeGreaterThan(CODE);
    expect(m.q(ABSENT)).toBe(7n);
    expect(m.vcpu.retired).toBe(3 + 3);
  });
});

describe("other faults leave the instruction undone", () => {
  test("#DE: division by zero", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.div(rcx));
    setReg(m.vcpu, RAX, 5);
    expect(fault(m, 0, false)).toMatchObject({ ip: CODE, sp: KERNEL_STACK });
    expect(reg(m.vcpu, RAX)).toBe(5n);
  });

  test("#UD: UD2, an invalid opcode, LOCK where it is not allowed", () => {
    for (const bytes of [[0x0f, 0x0b], [0x06], [0xf0, 0x90], [0xf0, 0x01, 0xc0]]) {
      const m = new FakeMachine();
      m.write(CODE, bytes);
      expect(fault(m, 6, false).ip).toBe(CODE);
    }
  });

  test("#GP(0): a privileged instruction at CPL 3", () => {
    for (const byte of [0xf4, 0xfa, 0xfb, 0xec, 0xee]) {
      const m = new FakeMachine();
      m.write(CODE, [byte]);
      m.setPrivilege(m.vcpu, 3);
      expect(fault(m, 13, true)).toMatchObject({ error: 0, ip: CODE, cs: USER_CS });
    }
  });

  test("#GP(0) for a non-canonical address, #SS(0) if the stack is accessed", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.mov(rax, mem(rbx)));
    setReg(m.vcpu, 3, 1n << 47n);
    expect(fault(m, 13, true).error).toBe(0);

    const stack = new FakeMachine();
    stack.gate(12, { ist: 1 });
    stack.assemble(CODE, (a) => a.push(rax));
    setReg(stack.vcpu, RSP, 1n << 48n);
    expect(fault(stack, 12, true).error).toBe(0);
  });

  test("#GP: an instruction of more than 15 bytes", () => {
    const m = new FakeMachine();
    m.write(CODE, [...new Array(15).fill(0x66), 0x90]);
    expect(fault(m, 13, true)).toMatchObject({ error: 0, ip: CODE });
  });

  test("#GP(selector): a segment register loaded from beyond the table", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.emit([0x8e, 0xd8]));
    setReg(m.vcpu, RAX, 0x1234);
    expect(fault(m, 13, true).error).toBe(0x1234);
  });
});

describe("delivery in 64-bit mode (SDM vol. 3, 6.14)", () => {
  test("INT n returns behind itself; its gate's DPL is checked", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.int(0x40));
    m.gate(0x40, { dpl: 3 });
    m.setPrivilege(m.vcpu, 3);
    m.go();
    expect(frame(m, false)).toMatchObject({ ip: CODE + 2, cs: USER_CS, ss: USER_SS });

    const denied = new FakeMachine();
    denied.assemble(CODE, (a) => a.int(0x40));
    denied.setPrivilege(denied.vcpu, 3);
    expect(fault(denied, 13, true, 2)).toMatchObject({ error: 0x40 * 8 + 2, ip: CODE });
  });

  test("from CPL 3 the stack is RSP0 and SS null; the frame is aligned to 16 bytes", () => {
    const m = new FakeMachine();
    m.qword(TSS + 4, RSP0 - 8);
    m.assemble(CODE, (a) => a.ud2());
    m.setPrivilege(m.vcpu, 3);
    setReg(m.vcpu, RSP, USER_STACK - 3);
    expect(fault(m, 6, false)).toMatchObject({ sp: USER_STACK - 3, ss: USER_SS });
    expect(reg(m.vcpu, RSP)).toBe(BigInt(RSP0 - 16 - 40));
    expect(m.vcpu.segments[2]).toMatchObject({ selector: 0 });
    expect(m.vcpu.cpl).toBe(0);
  });

  test("at the same level RSP stays in use, aligned down", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.ud2());
    setReg(m.vcpu, RSP, KERNEL_STACK - 5);
    expect(fault(m, 6, false)).toMatchObject({ sp: KERNEL_STACK - 5, ss: KERNEL_SS });
    expect(reg(m.vcpu, RSP)).toBe(BigInt(KERNEL_STACK - 16 - 40));
  });

  test("an IST gate takes its stack from the TSS even without a change of level", () => {
    const m = new FakeMachine();
    m.gate(6, { ist: 1 });
    m.assemble(CODE, (a) => a.ud2());
    expect(fault(m, 6, false).sp).toBe(KERNEL_STACK);
    expect(reg(m.vcpu, RSP)).toBe(BigInt(IST1 - 40));
  });

  test("an interrupt gate clears IF, a trap gate does not; both clear TF and NT", () => {
    for (const type of [0xe, 0xf]) {
      const m = new FakeMachine();
      m.gate(6, { type });
      m.assemble(CODE, (a) => a.ud2());
      m.vcpu.rflags = 2 | S.IF | S.NT;
      const f = fault(m, 6, false);
      expect(f.flags).toBe(2 | S.IF | S.NT | S.RF);
      expect(m.vcpu.rflags & (S.IF | S.NT)).toBe(type === 0xf ? S.IF : 0);
    }
  });

  test("a gate that is not present is #NP, of a wrong type or beyond the limit #GP, each with the vector's error code", () => {
    const cases: readonly (readonly [(m: FakeMachine) => void, number])[] = [
      [(m) => m.gate(6, { present: false }), 11],
      [(m) => m.gate(6, { type: 0xc }), 13],
    ];
    for (const [prepare, vector] of cases) {
      const m = new FakeMachine();
      prepare(m);
      m.assemble(CODE, (a) => a.ud2());
      expect(fault(m, vector, true).error).toBe(6 * 8 + 3);
    }
    const m = new FakeMachine();
    m.vcpu.idtr.limit = 16 * 16 - 1;
    m.assemble(CODE, (a) => a.int(0x20));
    expect(fault(m, 13, true, 2).error).toBe(0x20 * 8 + 2);
  });
});

describe("double and triple faults (SDM vol. 3, table 6-5)", () => {
  test("#PF while delivering #PF is #DF with error code 0", () => {
    const m = new FakeMachine();
    m.gate(8, { ist: 1 });
    m.map(ABSENT, { absent: true });
    m.assemble(CODE, (a) => a.push(rax));
    setReg(m.vcpu, RSP, ABSENT + 0x100);
    expect(fault(m, 8, true)).toMatchObject({ error: 0, ip: CODE, sp: ABSENT + 0x100 });
  });

  test("#GP while delivering #GP is #DF", () => {
    const m = new FakeMachine();
    m.gate(13, { type: 0 });
    m.assemble(CODE, (a) => a.mov(rax, mem(rbx)));
    setReg(m.vcpu, 3, 1n << 50n);
    expect(fault(m, 8, true).error).toBe(0);
  });

  test("#PF while delivering #UD is a #PF, not a double fault", () => {
    const m = new FakeMachine();
    m.gate(14, { ist: 1 });
    m.map(ABSENT, { absent: true });
    m.assemble(CODE, (a) => a.ud2());
    setReg(m.vcpu, RSP, ABSENT + 0x100);
    expect(fault(m, 14, true)).toMatchObject({ error: 2, ip: CODE });
    expect(m.vcpu.cr2Lo).toBe(ABSENT + 0x100 - 8);
  });

  test("a fault while delivering #DF shuts the processor down, for good", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.nop().ud2());
    m.vcpu.idtr.limit = 0;
    expect(m.go()).toEqual({ reason: "shutdown" });
    expect(m.vcpu.retired).toBe(1);
    expect(m.vcpu.runnable).toBe(false);
    const before = snapshot(m.vcpu);
    expect(m.vcpu.run(10)).toEqual({ reason: "shutdown" });
    expect(snapshot(m.vcpu)).toBe(before);
  });

  test("INT n that cannot be delivered shuts down too", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.int(0x30));
    m.vcpu.idtr.limit = 0;
    expect(m.go()).toEqual({ reason: "shutdown" });
  });

  test("a handler that cannot be fetched does not keep `run` from returning", () => {
    const m = new FakeMachine();
    m.map(ABSENT, { absent: true });
    m.gate(14, { handler: ABSENT, ist: 1 });
    m.assemble(CODE, (a) => a.mov(rax, mem(ABSENT)));
    expect(m.vcpu.run(1000)).toEqual({ reason: "budget" });
    expect(m.vcpu.retired).toBe(0);
    expect(m.vcpu.cr2Lo).toBe(ABSENT);
  });
});

describe("returns and system calls", () => {
  test("IRETQ goes back to CPL 3 with the frame's flags and stack", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.iretq());
    m.assemble(0x11000, (a) => a.ud2());
    const sp = KERNEL_STACK - 40;
    [0x11000, USER_CS, 2 | S.IF | S.CF, USER_STACK - 1, USER_SS].forEach((v, k) => {
      m.qword(sp + 8 * k, v);
    });
    setReg(m.vcpu, RSP, sp);
    m.vcpu.run(1);
    expect([m.vcpu.cpl, rip(m.vcpu), m.vcpu.rflags]).toEqual([3, 0x11000, 2 | S.IF | S.CF]);
    expect(reg(m.vcpu, RSP)).toBe(BigInt(USER_STACK - 1));
    m.go();
    expect(frame(m, false)).toMatchObject({ ip: 0x11000, cs: USER_CS, sp: USER_STACK - 1 });
  });

  test("IRETQ to a more privileged level, or to a non-canonical address, is #GP with nothing changed", () => {
    for (const [ip, cs, error] of [
      [0x11000n, KERNEL_CS, KERNEL_CS],
      [1n << 50n, USER_CS, 0],
    ] as const) {
      const m = new FakeMachine();
      m.assemble(CODE, (a) => a.iretq());
      if (cs === KERNEL_CS) m.setPrivilege(m.vcpu, 3);
      const sp = USER_STACK - 40;
      [ip, cs, 2, USER_STACK, USER_SS].forEach((v, k) => {
        m.qword(sp + 8 * k, v);
      });
      setReg(m.vcpu, RSP, sp);
      expect(fault(m, 13, true)).toMatchObject({ error, ip: CODE, sp });
    }
  });

  test("SYSCALL and SYSRET change level, keep RIP in RCX and RFLAGS in R11", () => {
    const m = new FakeMachine();
    const kernel = 0x11000;
    m.vcpu.msrs.set(0xc0000081, [0, (0x13 << 16) | KERNEL_CS]);
    m.vcpu.msrs.set(0xc0000082, [kernel, 0]);
    m.vcpu.msrs.set(0xc0000084, [S.IF | S.DF, 0]);
    m.assemble(CODE, (a) => a.syscall().ud2());
    m.assemble(kernel, (a) => a.sysretq());
    m.setPrivilege(m.vcpu, 3);
    setReg(m.vcpu, RSP, USER_STACK);
    m.vcpu.rflags = 2 | S.IF | S.DF | S.CF;
    m.vcpu.run(1);
    expect([m.vcpu.cpl, rip(m.vcpu), m.vcpu.rflags]).toEqual([0, kernel, 2 | S.CF]);
    expect([reg(m.vcpu, RCX), reg(m.vcpu, R11)]).toEqual([BigInt(CODE + 2), BigInt(2 | S.IF | S.DF | S.CF)]);
    expect(m.vcpu.segments.slice(1, 3).map((s) => s.selector)).toEqual([KERNEL_CS, KERNEL_CS + 8]);
    expect(reg(m.vcpu, RSP)).toBe(BigInt(USER_STACK));
    m.vcpu.run(1);
    expect([m.vcpu.cpl, rip(m.vcpu), m.vcpu.rflags]).toEqual([3, CODE + 2, 2 | S.IF | S.DF | S.CF]);
    expect(m.vcpu.segments.slice(1, 3).map((s) => s.selector)).toEqual([USER_CS, USER_SS]);
  });

  test("SYSCALL without EFER.SCE is #UD", () => {
    const m = new FakeMachine();
    m.vcpu.efer &= ~1;
    m.assemble(CODE, (a) => a.syscall());
    fault(m, 6, false);
  });

  test("the IDT is read through its descriptor's base: LIDT takes effect at once", () => {
    const m = new FakeMachine();
    m.ram.copyWithin(0x60000, IDT, IDT + 4096);
    m.view.setUint16(DATA, 0xfff, true);
    m.qword(DATA + 2, 0x60000);
    m.view.setUint16(0x60000 + 16 * 6, (HANDLERS + 0x700) & 0xffff, true);
    m.write(HANDLERS + 0x700, [0xf4]);
    m.assemble(CODE, (a) => a.lidt(mem(rdi)).ud2());
    setReg(m.vcpu, 7, DATA);
    m.go();
    expect(rip(m.vcpu)).toBe(HANDLERS + 0x701);
  });
});
