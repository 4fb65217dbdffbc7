import { type Assembler, ax, ds } from "@vm/asm";
import { describe, expect, test } from "vitest";
import { Seg } from "../src/index.js";
import { CODE, HANDLERS, IDT, RAX, RSP, reg, rip, setReg, TSS } from "./fake-machine.js";
import {
  CODE_AT,
  CODE32,
  DATA_AT,
  descriptor,
  dplBits,
  FREE,
  gate,
  ProtectedMachine,
  place,
  STACK_AT,
  TSS_SELECTOR,
} from "./protected-machine.js";

const [VM, IF, IOPL, RF, NT] = [0x20000, 0x200, 0x3000, 0x10000, 0x4000];
const [DB, BP, OF, UD, TS, SS, GP] = [1, 3, 4, 6, 10, 12, 13];
const VECTOR = 0x40;
const SP = 0x8000;

/** Selectors of the 8086 program, and the linear address of its first instruction. */
const PROGRAM = { cs: 0x1200, ss: 0x3000, es: 0x2100, ds: 0x2000, fs: 0x2200, gs: 0x2300 };
const IP = 0x100;
const START = PROGRAM.cs * 16 + IP;
const SP86 = 0x1000;

/** The frame from which IRETD of level 0 enters virtual-8086 mode. */
function frame8086(m: ProtectedMachine, flags: number, ip = IP): void {
  const { cs, ss, es, ds, fs, gs } = PROGRAM;
  [ip, cs, flags, SP86, ss, es, ds, fs, gs].forEach((word, k) => {
    m.d32(SP + 4 * k, word);
  });
}

/** An 8086 program that has just been entered. */
function machine(flags: number, write: (a: Assembler) => void): ProtectedMachine {
  const m = new ProtectedMachine(0);
  m.program((a) => a.iretd());
  m.assemble(START, write, 16);
  frame8086(m, flags | VM | 2);
  m.vcpu.run(1);
  return m;
}

describe("IRETD of level 0 with VM in its flags (SDM vol. 2, IRET; vol. 3, 20.2.5)", () => {
  test("enters virtual-8086 mode at level 3, with all segment registers from the frame", () => {
    const m = machine(IF | IOPL, (a) => a.nop());
    expect(rip(m.vcpu)).toBe(START);
    expect(m.vcpu.mode).toBe(16);
    expect(place(m.vcpu)).toMatchObject({ ...PROGRAM, cpl: 3, flags: VM | IF | IOPL | 2 });
    expect(Number(reg(m.vcpu, RSP))).toBe(SP86);
    for (const { selector, baseLo, limit } of m.vcpu.segments) {
      expect({ baseLo, limit }).toEqual({ baseLo: selector * 16, limit: 0xffff });
    }
  });

  test("to an EIP beyond 64 KiB is #GP(0), and nothing has changed", () => {
    const m = new ProtectedMachine(0);
    m.program((a) => a.iretd());
    frame8086(m, VM | 2, 0x10000);
    const before = place(m.vcpu);
    expect(m.fault()).toMatchObject({ vector: GP, error: 0, ip: CODE, cs: CODE_AT[0], flags: 2 | RF });
    expect(place(m.vcpu)).toEqual(before);
  });

  test("from a stack that ends within the frame is #SS(0)", () => {
    const m = new ProtectedMachine(0);
    m.program((a) => a.iretd());
    frame8086(m, VM | 2);
    const ss = m.vcpu.segments[Seg.SS] as ProtectedMachine["vcpu"]["tr"];
    m.vcpu.setSegment(Seg.SS, { ...ss, limit: SP + 34 });
    expect(m.fault()).toMatchObject({ vector: SS, error: 0, ip: CODE });
  });

  test("of an outer level VM is ignored", () => {
    const m = new ProtectedMachine(3);
    m.program((a) => a.iretd());
    [0x11000, CODE_AT[3], VM | 2].forEach((word, k) => {
      m.d32(SP + 4 * k, word);
    });
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(0x11000);
    expect(place(m.vcpu)).toMatchObject({ cs: CODE_AT[3], flags: 2 });
  });
});

describe("segments of virtual-8086 mode (SDM vol. 3, 20.2.1)", () => {
  test("start at 16 times the selector", () => {
    const m = machine(0, (a) => a.mov(ds, ax).emit([0xa1, 0x34, 0x12]));
    setReg(m.vcpu, RAX, 0x1f00);
    m.view.setUint16(0x1f000 + 0x1234, 0xbeef, true);
    m.vcpu.run(2);
    expect(m.vcpu.segments[Seg.DS]).toMatchObject({ selector: 0x1f00, baseLo: 0x1f000, limit: 0xffff });
    expect(Number(reg(m.vcpu, RAX))).toBe(0xbeef);
  });

  test.each([
    ["a word at DS:FFFF", GP, [0xa1, 0xff, 0xff]],
    ["a word at SS:FFFF", SS, [0x36, 0xa1, 0xff, 0xff]],
  ])("end at FFFF: %s is a fault", (_, vector, bytes) => {
    const m = machine(0, (a) => a.emit(bytes));
    expect(m.fault()).toMatchObject({ vector, error: 0, ip: IP });
  });

  test("can be written through CS", () => {
    const m = machine(0, (a) => a.emit([0x2e, 0xa3, 0x00, 0x08]));
    setReg(m.vcpu, RAX, 0x1234);
    m.vcpu.run(1);
    expect(m.view.getUint16(PROGRAM.cs * 16 + 0x800, true)).toBe(0x1234);
  });

  test("far jumps, calls and returns load CS as the 8086 does", () => {
    const m = machine(0, (a) => a.lcall(0x1300, 0x20).nop());
    m.assemble(0x13020, (a) => a.retfw(), 16);
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(0x13020);
    expect(m.top(2, 2)).toEqual([IP + 5, PROGRAM.cs]);
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(START + 5);
    expect(place(m.vcpu)).toMatchObject({ cs: PROGRAM.cs, cpl: 3 });
  });
});

describe("instructions that depend on IOPL (SDM vol. 3, 20.2.7)", () => {
  const sensitive: readonly (readonly [string, (a: Assembler) => void])[] = [
    ["CLI", (a) => a.cli()],
    ["STI", (a) => a.sti()],
    ["PUSHF", (a) => a.pushfw()],
    ["PUSHFD", (a) => a.pushfd()],
    ["POPF", (a) => a.popfw()],
    ["POPFD", (a) => a.popfd()],
    ["INT n", (a) => a.int(VECTOR)],
    ["IRET", (a) => a.iretw()],
    ["IRETD", (a) => a.iretd()],
  ];
  test.each(sensitive)("%s with IOPL < 3 is #GP(0)", (_, write) => {
    for (const iopl of [0, 0x1000, 0x2000]) {
      const m = machine(iopl, write);
      m.qword(IDT + 8 * VECTOR, gate(CODE_AT[0], HANDLERS, 0xee));
      expect(m.fault()).toMatchObject({ vector: GP, error: 0, ip: IP, cs: PROGRAM.cs, sp: SP86 });
    }
  });

  test("with IOPL 3 CLI and STI change IF", () => {
    const m = machine(IOPL | IF, (a) => a.cli().sti());
    m.vcpu.run(1);
    expect(m.vcpu.flags & IF).toBe(0);
    m.vcpu.run(1);
    expect(m.vcpu.flags & IF).toBe(IF);
  });

  test("with IOPL 3 PUSHFD shows neither VM nor RF, and POPFD changes neither VM nor IOPL", () => {
    const m = machine(IOPL | IF, (a) => a.pushfd().popfd());
    m.vcpu.run(1);
    expect(m.top(1)).toEqual([IOPL | IF | 2]);
    m.d32(PROGRAM.ss * 16 + SP86 - 4, 2 | NT | RF);
    m.vcpu.run(1);
    expect(m.vcpu.flags).toBe(VM | IOPL | NT | 2);
  });

  test("with IOPL 3 IRET stays in virtual-8086 mode, even with NT", () => {
    const m = machine(IOPL | NT, (a) => a.iretw());
    [0x30, 0x1300, IF].forEach((word, k) => {
      m.view.setUint16(PROGRAM.ss * 16 + SP86 + 2 * k, word, true);
    });
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(0x13030);
    expect(place(m.vcpu)).toMatchObject({ cs: 0x1300, cpl: 3, flags: VM | IOPL | IF | 2 });
    expect(Number(reg(m.vcpu, RSP))).toBe(SP86 + 6);
  });

  test.each([
    ["INT3", BP, (a: Assembler) => a.int3()],
    ["INTO", OF, (a: Assembler) => a.into()],
    ["INT1", DB, (a: Assembler) => a.int1()],
  ])("%s does not", (_, vector, write) => {
    const m = machine(0, write);
    m.vcpu.rflags |= 0x800;
    m.qword(IDT + 8 * vector, gate(CODE_AT[0], HANDLERS + 16 * vector, 0xee));
    expect(m.fault()).toMatchObject({ vector, ip: IP + 1, cs: PROGRAM.cs });
  });
});

describe("events in virtual-8086 mode (SDM vol. 3, 20.3.1)", () => {
  const { cs, ss, es, ds: dataSegment, fs, gs } = PROGRAM;

  test("push the data segments too and null them; the handler runs at level 0", () => {
    const m = machine(IF, (a) => a.nop());
    m.interrupt(VECTOR);
    m.go();
    expect(rip(m.vcpu)).toBe(HANDLERS + 16 * VECTOR + 1);
    expect(m.top(9)).toEqual([IP, cs, VM | IF | 2, SP86, ss, es, dataSegment, fs, gs]);
    expect(Number(reg(m.vcpu, RSP))).toBe(STACK_AT[0] - 36);
    expect(place(m.vcpu)).toMatchObject({
      cs: CODE_AT[0],
      ss: DATA_AT[0],
      ds: 0,
      es: 0,
      fs: 0,
      gs: 0,
      cpl: 0,
      flags: 2,
    });
  });

  test("IRETD comes back", () => {
    const m = machine(IOPL, (a) => a.int(VECTOR).nop());
    m.qword(IDT + 8 * VECTOR, gate(CODE_AT[0], HANDLERS, 0xef));
    m.assemble(HANDLERS, (a) => a.iretd(), 32);
    const before = place(m.vcpu);
    m.vcpu.run(2);
    expect(rip(m.vcpu)).toBe(START + 2);
    expect(place(m.vcpu)).toEqual(before);
    expect(Number(reg(m.vcpu, RSP))).toBe(SP86);
  });

  test("have the error code below", () => {
    const m = machine(0, (a) => a.hlt());
    expect(m.fault()).toMatchObject({ vector: GP, error: 0, ip: IP, cs, flags: VM | RF | 2, sp: SP86, ss });
    expect(m.top(10).slice(6)).toEqual([es, dataSegment, fs, gs]);
  });

  test("through a 16-bit gate push words", () => {
    const m = machine(IOPL, (a) => a.int(VECTOR));
    m.qword(IDT + 8 * VECTOR, gate(CODE_AT[0], HANDLERS, 0xe6));
    m.vcpu.run(1);
    expect(m.top(9, 2)).toEqual([IP + 2, cs, IOPL | 2, SP86, ss, es, dataSegment, fs, gs]);
  });

  const CONFORMING = CODE32 | 4;
  test.each([
    ["a handler of level 1", GP, CODE_AT[1] & ~3, (m: ProtectedMachine) => to(m, CODE_AT[1] & ~3)],
    ["a handler of level 3", GP, CODE_AT[3] & ~3, (m: ProtectedMachine) => to(m, CODE_AT[3] & ~3)],
    ["conforming code of level 0", GP, FREE, (m: ProtectedMachine) => to(m, FREE, CONFORMING)],
    ["conforming code of level 3", GP, FREE, (m: ProtectedMachine) => to(m, FREE, CONFORMING | dplBits(3))],
    ["a gate whose DPL is below 3", GP, VECTOR * 8 + 2, (m: ProtectedMachine) => to(m, CODE_AT[0], 0, 0x8e)],
  ])("%s is #GP", (_, vector, error, prepare) => {
    const m = machine(IOPL, (a) => a.int(VECTOR));
    prepare(m);
    expect(m.fault()).toMatchObject({ vector, error, ip: IP, cs, sp: SP86, ss });
  });
  function to(m: ProtectedMachine, selector: number, attributes = 0, gateAttributes = 0xee): void {
    if (attributes !== 0) m.describe(selector, descriptor(0, 0xfffff, attributes));
    m.qword(IDT + 8 * VECTOR, gate(selector, HANDLERS, gateAttributes));
  }

  test.each([
    ["a null stack selector", TS, 0, (m: ProtectedMachine) => m.d32(TSS + 8, 0)],
    ["a stack of another level", TS, DATA_AT[1] & ~3, (m: ProtectedMachine) => m.d32(TSS + 8, DATA_AT[1] & ~3)],
    ["a stack without room", SS, FREE, (m: ProtectedMachine) => small(m)],
  ])("%s is a fault that a task gate can handle", (_, vector, error, prepare) => {
    const m = machine(IOPL, (a) => a.int(VECTOR));
    m.qword(IDT + 8 * VECTOR, gate(CODE_AT[0], HANDLERS, 0xee));
    prepare(m);
    const before = place(m.vcpu);
    handlerTask(m, vector);
    m.go();
    expect(m.top(1)).toEqual([error]);
    // The program as it was, in its TSS.
    const saved = [0x20, 0x4c, 0x50, 0x48, 0x54, 0x58, 0x5c].map((at) => m.view.getUint32(TSS + at, true) & 0xffff);
    expect(saved).toEqual([IP, before.cs, before.ss, before.es, before.ds, before.fs, before.gs]);
    expect(m.view.getUint32(TSS + 0x24, true)).toBe(VM | IOPL | RF | 2);
  });
  function small(m: ProtectedMachine): void {
    m.describe(FREE, descriptor(0, STACK_AT[0] - 5, 0x4093));
    m.d32(TSS + 8, FREE);
  }
});

/** A task of level 0 that halts, as the handler of `vector`. */
function handlerTask(m: ProtectedMachine, vector: number): void {
  const [at, selector] = [TSS + 0x100, FREE + 8];
  m.describe(selector, descriptor(at, 0x67, 0x89));
  m.qword(IDT + 8 * vector, gate(selector, 0, 0x85));
  m.assemble(0x11000, (a) => a.hlt(), 32);
  for (const [field, value] of [
    [0x20, 0x11000],
    [0x24, 2],
    [0x38, 0xf000],
    [0x4c, CODE_AT[0]],
    [0x50, DATA_AT[0]],
  ] as const)
    m.d32(at + field, value);
}

describe("virtual-8086 tasks (SDM vol. 3, 20.2.4)", () => {
  test("are entered by a task switch, whatever the selectors name in the GDT", () => {
    const m = new ProtectedMachine(0);
    const at = TSS + 0x100;
    m.describe(FREE, descriptor(at, 0x67, 0x89));
    const { cs, ss, es, ds: dataSegment, fs, gs } = PROGRAM;
    [IP, VM | IOPL | 2, 0xa0, 0, 0, 0, SP86, 0, 0, 0, es, cs, ss, dataSegment, fs, gs, 0].forEach((word, k) => {
      m.d32(at + 0x20 + 4 * k, word);
    });
    m.program((a) => a.ljmp(FREE, 0));
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(START);
    expect(place(m.vcpu)).toMatchObject({ ...PROGRAM, cpl: 3, flags: VM | IOPL | 2, tr: FREE });
    expect(m.vcpu.segments[Seg.CS]).toMatchObject({ baseLo: cs * 16, limit: 0xffff });
  });

  test("are left through a task gate, and IRET of that task goes back", () => {
    const m = machine(IOPL, (a) => a.int(VECTOR).nop());
    handlerTask(m, VECTOR);
    m.qword(IDT + 8 * VECTOR, gate(FREE + 8, 0, 0xe5));
    m.assemble(0x11000, (a) => a.iretd(), 32);
    const before = place(m.vcpu);
    m.vcpu.run(1);
    expect(place(m.vcpu)).toMatchObject({ cs: CODE_AT[0], cpl: 0, flags: NT | 2, tr: FREE + 8 });
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(START + 2);
    expect(place(m.vcpu)).toEqual({ ...before, cr0: before.cr0 | 8 });
  });
});

describe("ports in virtual-8086 mode (SDM vol. 1, 19.5.2)", () => {
  const input = (a: Assembler) => a.emit([0xe4, 0x71]);

  test("are those that the I/O map lets through, whatever IOPL is", () => {
    for (const [iopl, bits, allowed] of [
      [IOPL, 0xff, false],
      [0, 0xff, false],
      [IOPL, 0xfd, true],
      [0, 0xfd, true],
    ] as const) {
      const m = machine(iopl, input);
      Object.assign(m.vcpu.tr, { limit: 0xff });
      m.ram.fill(0xff, TSS + 0x68, TSS + 0x100);
      m.ram[TSS + 0x68 + (0x71 >> 3)] = bits;
      m.vcpu.run(1);
      expect(m.bus.log.length).toBe(allowed ? 1 : 0);
      expect(m.vcpu.flags & VM).toBe(allowed ? VM : 0);
    }
  });

  test("are none with a 16-bit TSS", () => {
    const m = machine(IOPL, input);
    Object.assign(m.vcpu.tr, { limit: 0xff, attributes: 0x83 });
    m.ram.fill(0, TSS + 0x66, TSS + 0x100);
    m.d32(TSS + 2, STACK_AT[0] | ((DATA_AT[0] as number) << 16));
    expect(m.fault()).toMatchObject({ vector: GP, error: 0, ip: IP });
  });
});

describe("what virtual-8086 mode does not have (SDM vol. 2; vol. 3, 20.2.6)", () => {
  test.each([
    ["LLDT", [0x0f, 0x00, 0xd0]],
    ["LTR", [0x0f, 0x00, 0xd8]],
    ["SLDT", [0x0f, 0x00, 0xc0]],
    ["STR", [0x0f, 0x00, 0xc8]],
    ["VERR", [0x0f, 0x00, 0xe0]],
    ["VERW", [0x0f, 0x00, 0xe8]],
    ["LAR", [0x0f, 0x02, 0xc0]],
    ["LSL", [0x0f, 0x03, 0xc0]],
    ["ARPL", [0x63, 0xc0]],
  ])("%s is #UD", (_, bytes) => {
    const m = machine(IOPL, (a) => a.emit(bytes));
    setReg(m.vcpu, RAX, TSS_SELECTOR);
    expect(m.fault()).toMatchObject({ vector: UD, ip: IP, cs: PROGRAM.cs });
  });

  test.each([
    ["HLT", [0xf4]],
    ["CLTS", [0x0f, 0x06]],
    ["LMSW", [0x0f, 0x01, 0xf0]],
    ["LGDT", [0x0f, 0x01, 0x16, 0x00, 0x00]],
    ["LIDT", [0x0f, 0x01, 0x1e, 0x00, 0x00]],
    ["INVLPG", [0x0f, 0x01, 0x3e, 0x00, 0x00]],
    ["MOV CR0", [0x0f, 0x20, 0xc0]],
    ["MOV DR7", [0x0f, 0x21, 0xf8]],
    ["RDMSR", [0x0f, 0x32]],
    ["WBINVD", [0x0f, 0x09]],
    ["SYSEXIT", [0x0f, 0x35]],
  ])("%s is #GP(0): it needs level 0", (_, bytes) => {
    const m = machine(IOPL, (a) => a.emit(bytes));
    m.vcpu.msrs.set(0x174, [CODE_AT[0], 0]);
    expect(m.fault()).toMatchObject({ vector: GP, error: 0, ip: IP, cs: PROGRAM.cs });
  });

  test("SYSENTER leaves it", () => {
    const m = machine(IOPL | IF, (a) => a.emit([0x0f, 0x34]));
    m.vcpu.msrs.set(0x174, [CODE_AT[0], 0]);
    m.vcpu.msrs.set(0x175, [STACK_AT[0], 0]);
    m.vcpu.msrs.set(0x176, [0x11000, 0]);
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(0x11000);
    expect(place(m.vcpu)).toMatchObject({ cs: CODE_AT[0], cpl: 0, flags: IOPL | 2 });
  });
});
