import { eax } from "@vm/asm";
import { describe, expect, test } from "vitest";
import { CODE, DATA, FakeMachine, frame, GDT, HANDLERS, IDT, rip, setReg, TSS, USER_STACK } from "./fake-machine.js";
import {
  CODE_AT,
  CODE32,
  DATA_AT,
  DATA32,
  descriptor,
  dplBits,
  FREE,
  gate,
  ProtectedMachine,
  place,
  STACK_AT,
  TSS_SELECTOR,
} from "./protected-machine.js";

const VECTOR = 0x40;
const NAMES_VECTOR = VECTOR * 8 + 2;
const INTERRUPT = 0x8e;
const [DF, TS, NP, SS, GP] = [8, 10, 11, 12, 13];
const SP = 0x8000;

/** Code at level 3 that INT or an interrupt from outside takes through `entry` of the IDT. */
function machine(entry: bigint): ProtectedMachine {
  const m = new ProtectedMachine(3);
  m.qword(IDT + 8 * VECTOR, entry);
  m.program((a) => a.int(VECTOR));
  return m;
}
const target = (selector: number, attributes = INTERRUPT | 0x60): bigint =>
  gate(selector, HANDLERS + 16 * VECTOR, attributes);

describe("interrupt and trap gates in protected mode (SDM vol. 3, 6.12)", () => {
  test.each([
    ["interrupt gate", 0xee, 0],
    ["trap gate", 0xef, 0x200],
  ])("an %s of 32 bits to an inner level: stack, frame, IF", (_, attributes, flag) => {
    const m = machine(target(CODE_AT[1], attributes));
    m.vcpu.rflags = 0x202;
    m.vcpu.run(1);
    expect(place(m.vcpu)).toMatchObject({ cs: CODE_AT[1], ss: DATA_AT[1], cpl: 1, ds: DATA_AT[3] });
    expect(m.vcpu.flags & 0x200).toBe(flag);
    expect(m.top(5)).toEqual([CODE + 2, CODE_AT[3], 0x202, SP, DATA_AT[3]]);
    expect(m.vcpu.regLo(4)).toBe(STACK_AT[1] - 20);
  });

  test("a 16-bit gate pushes words and has a 16-bit target", () => {
    const m = machine(gate(CODE_AT[0], 0xabcd0000 | HANDLERS, 0xe6));
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(HANDLERS);
    expect(m.top(5, 2)).toEqual([(CODE + 2) & 0xffff, CODE_AT[3], 2, SP, DATA_AT[3]]);
  });

  test("conforming code runs at the level it interrupts", () => {
    const m = machine(target(FREE));
    m.describe(FREE, descriptor(0, 0xfffff, CODE32 | 4));
    m.vcpu.run(1);
    expect(place(m.vcpu)).toMatchObject({ cs: FREE | 3, ss: DATA_AT[3], cpl: 3 });
    expect(m.top(3)).toEqual([CODE + 2, CODE_AT[3], 2]);
  });

  test("a misaligned inner stack is no #AC, though the interrupted code has its accesses checked", () => {
    const m = machine(target(CODE_AT[0]));
    m.vcpu.cr0 |= 0x40000;
    m.vcpu.rflags = 0x40002;
    m.vcpu.updateMode();
    m.d32(TSS + 4, STACK_AT[0] - 1);
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(HANDLERS + 16 * VECTOR);
  });
});

test("an alignment check whose handler's stack is misaligned goes on for ever, and the host still gets its turn", () => {
  const m = new ProtectedMachine(3);
  m.vcpu.cr0 |= 0x40000;
  m.vcpu.rflags = 0x40002;
  m.vcpu.updateMode();
  m.qword(IDT + 8 * 17, gate(CODE_AT[3], HANDLERS, INTERRUPT));
  setReg(m.vcpu, 4, SP - 1);
  m.program((a) => a.push(eax));
  expect(m.vcpu.run(10)).toEqual({ reason: "budget" });
  expect(m.vcpu.retired).toBe(0);
});

type Row = readonly [string, number, number, (m: ProtectedMachine) => void];
const rows: readonly Row[] = [
  ["IDT limit", GP, NAMES_VECTOR, (m) => Object.assign(m.vcpu.idtr, { limit: VECTOR * 8 + 6 })],
  ["not a gate", GP, NAMES_VECTOR, (m) => m.qword(IDT + 8 * VECTOR, target(CODE_AT[0], 0xe9))],
  ["gate not present", NP, NAMES_VECTOR, (m) => m.qword(IDT + 8 * VECTOR, target(CODE_AT[0], 0x6e))],
  ["null code selector", GP, 0, (m) => m.qword(IDT + 8 * VECTOR, target(3))],
  ["code selector behind the GDT", GP, 0x200, (m) => m.qword(IDT + 8 * VECTOR, target(0x200))],
  ["code selector of data", GP, DATA_AT[0], (m) => m.qword(IDT + 8 * VECTOR, target(DATA_AT[0]))],
  ["code not present", NP, FREE, (m) => code(m, (CODE32 & ~0x80) | dplBits(1), 0xfffff)],
  ["no stack in the TSS", TS, TSS_SELECTOR, (m) => Object.assign(m.vcpu.tr, { limit: 8 + 8 })],
  ["null stack selector", TS, 0, (m) => m.d32(TSS + 16, 1)],
  ["stack selector with another RPL", TS, DATA_AT[1] & ~3, (m) => m.d32(TSS + 16, DATA_AT[1] & ~3)],
  ["stack of another level", TS, DATA_AT[0], (m) => m.d32(TSS + 16, DATA_AT[0] | 1)],
  ["stack is read-only", TS, FREE + 8, (m) => stack(m, (DATA32 & ~2) | dplBits(1), 0xfffff)],
  ["stack not present", SS, FREE + 8, (m) => stack(m, (DATA32 & ~0x80) | dplBits(1), 0xfffff)],
  ["no room on the stack", SS, FREE + 8, (m) => stack(m, 0x4093 | dplBits(1), 0xbfff - 20)],
  ["target beyond the code", GP, 0, (m) => code(m, (CODE32 & ~0x8000) | dplBits(1), HANDLERS)],
];
function code(m: ProtectedMachine, attributes: number, limit: number): void {
  m.describe(FREE, descriptor(0, limit, attributes));
  m.qword(IDT + 8 * VECTOR, target(FREE));
}
function stack(m: ProtectedMachine, attributes: number, limit: number): void {
  m.describe(FREE + 8, descriptor(0, limit, attributes));
  m.d32(TSS + 16, FREE + 8 + 1);
}

describe("faults of delivery in protected mode (SDM vol. 2, INT n; EXT: vol. 3, 6.13)", () => {
  test.each(rows)("%s, of INT n: no EXT", (_, vector, error, prepare) => {
    const m = machine(target(CODE_AT[1]));
    prepare(m);
    expect(m.fault()).toMatchObject({ vector, error, ip: CODE, cs: CODE_AT[3], sp: SP, ss: DATA_AT[3] });
  });

  test.each(rows)("%s, of an interrupt: EXT", (_, vector, error, prepare) => {
    const m = machine(target(CODE_AT[1]));
    m.program((a) => a.nop());
    m.vcpu.rflags = 0x202;
    prepare(m);
    m.interrupt(VECTOR);
    expect(m.fault()).toMatchObject({ vector, error: error | 1, ip: CODE, cs: CODE_AT[3], sp: SP, ss: DATA_AT[3] });
  });

  test("INT n through a gate whose DPL is below CPL is #GP", () => {
    const m = machine(target(CODE_AT[0], INTERRUPT));
    expect(m.fault()).toMatchObject({ vector: GP, error: NAMES_VECTOR, ip: CODE });
  });

  test("a gate to an outer level is #GP(selector)", () => {
    const m = new ProtectedMachine(0);
    m.qword(IDT + 8 * VECTOR, target(CODE_AT[3]));
    m.program((a) => a.int(VECTOR));
    expect(m.fault()).toMatchObject({ vector: GP, error: CODE_AT[3] & ~3, ip: CODE });
  });

  test("a contributory exception while another one is delivered is a double fault", () => {
    const m = machine(0n);
    m.qword(IDT + 8 * GP, target(FREE));
    expect(m.fault()).toMatchObject({ vector: DF, error: 0, ip: CODE });
  });
});

describe("faults of delivery in IA-32e mode (SDM vol. 3, 6.14)", () => {
  const COMPAT = 0x38;
  test.each([
    ["code of compatibility mode", GP, COMPAT, (m: FakeMachine) => m.gate(VECTOR, { dpl: 3, selector: COMPAT })],
    [
      "code that is both 64- and 32-bit",
      GP,
      COMPAT,
      (m: FakeMachine) => {
        m.qword(GDT + COMPAT, 0x00ef9b000000ffffn);
        m.gate(VECTOR, { dpl: 3, selector: COMPAT });
      },
    ],
    [
      "a target that is not canonical",
      GP,
      0,
      (m: FakeMachine) => {
        m.gate(VECTOR, { dpl: 3 });
        m.view.setUint32(IDT + 16 * VECTOR + 8, 0x8000, true);
      },
    ],
  ])("%s", (_, vector, error, prepare) => {
    for (const external of [false, true]) {
      const m = new FakeMachine();
      m.setPrivilege(m.vcpu, 3);
      setReg(m.vcpu, 4, USER_STACK);
      m.assemble(CODE, (a) => (external ? a.nop() : a.int(VECTOR)));
      prepare(m);
      m.vcpu.rflags = 0x202;
      if (external) m.interrupt(VECTOR);
      m.go();
      expect(rip(m.vcpu)).toBe(HANDLERS + 16 * vector + 1);
      expect(frame(m, true)).toMatchObject({ error: error | Number(external), ip: CODE, sp: USER_STACK });
    }
  });

  test("a stack that is not canonical is #SS(0)", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.int(VECTOR));
    m.gate(SS, { ist: 1 });
    setReg(m.vcpu, 4, 0x800000000010n);
    m.go();
    expect(frame(m, true)).toMatchObject({ error: 0, ip: CODE });
  });
});

describe("real mode (SDM vol. 3, 20.1.4)", () => {
  test("delivery takes CS:IP from the table and pushes three words", () => {
    const m = new ProtectedMachine(0);
    m.vcpu.cr0 = 0x10;
    m.vcpu.updatePaging();
    for (const seg of [0, 1, 2, 3, 4, 5])
      m.vcpu.setSegment(seg, { selector: 0, baseLo: 0, baseHi: 0, limit: 0xffff, attributes: 0x93 });
    m.vcpu.setRip(0x5000, 0);
    m.assemble(0x5000, (a) => a.int(VECTOR), 16);
    m.ram.fill(0, IDT, IDT + 0x400);
    m.d32(IDT + 4 * VECTOR, (DATA >>> 4) << 16);
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(DATA);
    expect(m.top(3, 2)).toEqual([0x5002, 0, 2]);
  });
});
