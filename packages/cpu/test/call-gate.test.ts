import { describe, expect, test } from "vitest";
import { Seg } from "../src/index.js";
import {
  CODE,
  FakeMachine,
  frame,
  GDT,
  HANDLERS,
  IDT,
  KERNEL_CS,
  RSP,
  RSP0,
  reg,
  rip,
  setReg,
  TSS,
  USER_CS,
  USER_SS,
  USER_STACK,
} from "./fake-machine.js";
import {
  CODE_AT,
  CODE32,
  DATA_AT,
  DATA32,
  descriptor,
  dplBits,
  FREE,
  gate,
  type Level,
  ProtectedMachine,
  place,
  STACK_AT,
  TSS_SELECTOR,
} from "./protected-machine.js";

const TARGET = 0x11000;
/** Present, DPL 3. */
const GATE32 = 0xec;
const GATE16 = 0xe4;
const CONFORMING = CODE32 | 4;
const SP = 0x8000;
const HANDLER_CS = 0x1f3;

/** Code at `level` that calls (or jumps) through the gate at `FREE`, with RPL 3. Its stack has 1, 2, 3 ... from the top. */
function caller(level: Level, callGate: bigint, how: "lcall" | "ljmp" = "lcall"): ProtectedMachine {
  const m = new ProtectedMachine(level);
  m.describe(FREE, callGate);
  m.program((a) => a[how](FREE | 3, 0xdeadbeef));
  m.assemble(TARGET, (a) => a.nop(), 32);
  for (let k = 0; k < 40; k++) m.d32(SP + 4 * k, k + 1);
  return m;
}
/** Has exception `vector` handled at level 3, on the stack of the code that causes it, by a NOP. */
function handleOutside(m: ProtectedMachine, vector: number): void {
  m.describe(HANDLER_CS, descriptor(0, 0xfffff, CODE32 | dplBits(3)));
  m.qword(IDT + 8 * vector, gate(HANDLER_CS, HANDLERS + 16 * vector, 0x8e));
  m.assemble(HANDLERS + 16 * vector, (a) => a.nop(), 32);
}
/** Length of the direct far call in 32-bit code. */
const NEXT = CODE + 7;

describe("CALL through a call gate outside IA-32e mode (SDM vol. 3, 5.8.4 and 5.8.5)", () => {
  test.each([0, 1, 2] as const)("to level %i switches to that level's stack and copies the parameters", (level) => {
    const m = caller(3, gate(CODE_AT[level], TARGET, GATE32, 3));
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(TARGET);
    expect(place(m.vcpu)).toMatchObject({ cs: CODE_AT[level], ss: DATA_AT[level], cpl: level, ds: DATA_AT[3] });
    expect(m.top(7)).toEqual([NEXT, CODE_AT[3], 1, 2, 3, SP, DATA_AT[3]]);
    expect(reg(m.vcpu, RSP)).toBe(BigInt(STACK_AT[level] - 28));
  });

  test.each([0, 31])("copies %i parameters", (count) => {
    const m = caller(3, gate(CODE_AT[0], TARGET, GATE32, count));
    m.vcpu.run(1);
    expect(m.top(4 + count)).toEqual([
      NEXT,
      CODE_AT[3],
      ...Array.from({ length: count }, (_, k) => k + 1),
      SP,
      DATA_AT[3],
    ]);
  });

  test("a 16-bit gate has 16-bit parameters, addresses and a 16-bit target", () => {
    const m = caller(3, gate(CODE_AT[0], 0xabcd0000 | (TARGET & 0xffff), GATE16, 2));
    m.assemble(TARGET & 0xffff, (a) => a.nop(), 32);
    m.d32(SP, 0x22221111);
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(TARGET & 0xffff);
    expect(m.top(6, 2)).toEqual([NEXT & 0xffff, CODE_AT[3], 0x1111, 0x2222, SP, DATA_AT[3]]);
  });

  test("a 16-bit TSS holds 16-bit stack pointers", () => {
    const m = caller(3, gate(CODE_AT[1], TARGET, GATE32));
    Object.assign(m.vcpu.tr, { attributes: 0x83, limit: 0x2b });
    m.d32(TSS + 6, 0xc000 | ((DATA_AT[1] as number) << 16));
    m.vcpu.run(1);
    expect(place(m.vcpu)).toMatchObject({ cs: CODE_AT[1], ss: DATA_AT[1] });
    expect(reg(m.vcpu, RSP)).toBe(0xc000n - 16n);
  });

  test("to the same level keeps the stack and copies nothing", () => {
    const m = caller(3, gate(CODE_AT[3], TARGET, GATE32, 5));
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(TARGET);
    expect(reg(m.vcpu, RSP)).toBe(BigInt(SP - 8));
    expect(m.top(3)).toEqual([NEXT, CODE_AT[3], 1]);
  });

  test("to conforming code of an inner level keeps level and stack", () => {
    const m = caller(3, gate(FREE + 8, TARGET, GATE32));
    m.describe(FREE + 8, descriptor(0, 0xfffff, CONFORMING));
    m.vcpu.run(1);
    expect(place(m.vcpu)).toMatchObject({ cs: (FREE + 8) | 3, ss: DATA_AT[3], cpl: 3 });
    expect(m.top(2)).toEqual([NEXT, CODE_AT[3]]);
  });

  test("marks code and stack accessed", () => {
    const m = caller(3, gate(CODE_AT[1], TARGET, GATE32));
    m.describe(CODE_AT[1], descriptor(0, 0xfffff, (CODE32 & ~1) | dplBits(1)));
    m.describe(DATA_AT[1], descriptor(0, 0xfffff, (DATA32 & ~1) | dplBits(1)));
    m.vcpu.run(1);
    expect([CODE_AT[1], DATA_AT[1]].map((s) => (m.ram[GDT + (s & ~7) + 5] as number) & 1)).toEqual([1, 1]);
  });

  test("a gate in the LDT works as one in the GDT", () => {
    const m = caller(3, 0n);
    Object.assign(m.vcpu.ldtr, { baseLo: 0xe000, limit: 7, attributes: 0x82 });
    m.qword(0xe000, gate(CODE_AT[0], TARGET, GATE32));
    m.program((a) => a.lcall(7, 0));
    m.vcpu.run(1);
    expect(place(m.vcpu)).toMatchObject({ cs: CODE_AT[0], cpl: 0 });
  });

  test("RET n comes back, with the parameters off both stacks", () => {
    const m = caller(3, gate(CODE_AT[0], TARGET, GATE32, 3));
    m.assemble(TARGET, (a) => a.retfd(12), 32);
    m.vcpu.run(2);
    expect(rip(m.vcpu)).toBe(NEXT);
    expect(place(m.vcpu)).toMatchObject({ cs: CODE_AT[3], ss: DATA_AT[3], cpl: 3 });
    expect(reg(m.vcpu, RSP)).toBe(BigInt(SP + 12));
  });
});

describe("JMP through a call gate", () => {
  test("goes to code of the same level", () => {
    const m = caller(3, gate(CODE_AT[3] & ~3, TARGET, GATE32, 4), "ljmp");
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(TARGET);
    expect(place(m.vcpu)).toMatchObject({ cs: CODE_AT[3], cpl: 3 });
    expect(reg(m.vcpu, RSP)).toBe(BigInt(SP));
  });

  test("goes to conforming code of an inner level at its own", () => {
    const m = caller(3, gate(FREE + 8, TARGET, GATE32), "ljmp");
    m.describe(FREE + 8, descriptor(0, 0xfffff, CONFORMING));
    m.vcpu.run(1);
    expect(place(m.vcpu)).toMatchObject({ cs: (FREE + 8) | 3, cpl: 3 });
  });
});

const [GP, NP, TS, SS, PF] = [13, 11, 10, 12, 14];
const OTHER = FREE + 8;
type Row = readonly [statement: string, vector: number, error: number, prepare: (m: ProtectedMachine) => void];
const inner = gate(CODE_AT[0], TARGET, GATE32, 2);

describe("faults of a CALL through a call gate leave everything as it was (SDM vol. 2, CALL)", () => {
  const rows: readonly Row[] = [
    ["gate DPL < CPL", GP, FREE, (m) => m.describe(FREE, gate(CODE_AT[0], TARGET, 0xcc))],
    ["gate not present", NP, FREE, (m) => m.describe(FREE, gate(CODE_AT[0], TARGET, 0x6c))],
    ["gate DPL < CPL comes before not present", GP, FREE, (m) => m.describe(FREE, gate(CODE_AT[0], TARGET, 0x4c))],
    ["null code selector", GP, 0, (m) => m.describe(FREE, gate(3, TARGET, GATE32))],
    ["code selector behind the GDT", GP, 0x200, (m) => m.describe(FREE, gate(0x200, TARGET, GATE32))],
    ["code selector of data", GP, DATA_AT[0], (m) => m.describe(FREE, gate(DATA_AT[0], TARGET, GATE32))],
    ["code selector of a gate", GP, FREE, (m) => m.describe(FREE, gate(FREE, TARGET, GATE32))],
    ["code not present", NP, CODE_AT[0], (m) => m.describe(CODE_AT[0], descriptor(0, 0xfffff, CODE32 & ~0x80))],
    ["TSS without that stack", TS, TSS_SELECTOR, (m) => Object.assign(m.vcpu.tr, { limit: 8 })],
    ["null stack selector", TS, 0, (m) => m.d32(TSS + 8, 0)],
    ["stack selector behind the GDT", TS, 0x300, (m) => m.d32(TSS + 8, 0x300)],
    ["stack selector with another RPL", TS, DATA_AT[0], (m) => m.d32(TSS + 8, DATA_AT[0] | 1)],
    ["stack of another level", TS, DATA_AT[1] & ~3, (m) => m.d32(TSS + 8, DATA_AT[1] & ~3)],
    ["stack not writable", TS, DATA_AT[0], (m) => m.describe(DATA_AT[0], descriptor(0, 0xfffff, DATA32 & ~2))],
    ["stack is code", TS, CODE_AT[0], (m) => m.d32(TSS + 8, CODE_AT[0])],
    ["stack not present", SS, DATA_AT[0], (m) => m.describe(DATA_AT[0], descriptor(0, 0xfffff, DATA32 & ~0x80))],
    ["no room on the new stack", SS, OTHER, (m) => smallStack(m, 23)],
    ["parameters beyond the old stack", SS, 0, (m) => limitStack(m, SP + 6)],
    ["target beyond the code", GP, 0, (m) => m.describe(CODE_AT[0], descriptor(0, TARGET - 1, CODE32 & ~0x8000))],
  ];

  /** A 16-bit stack that starts at `room`: pushes below 0 wrap to the top, which is beyond its limit. */
  function smallStack(m: ProtectedMachine, room: number): void {
    m.describe(OTHER, descriptor(0xb000, 0xff, 0x93));
    m.d32(TSS + 4, room);
    m.d32(TSS + 8, OTHER);
  }
  function limitStack(m: ProtectedMachine, limit: number): void {
    const ss = m.vcpu.segments[Seg.SS] as ProtectedMachine["vcpu"]["tr"];
    m.vcpu.setSegment(Seg.SS, { ...ss, limit });
  }

  test.each(rows)("%s", (_, vector, error, prepare) => {
    const m = caller(3, inner);
    // The fault itself is handled on a level and a stack that the row does not spoil.
    handleOutside(m, vector);
    prepare(m);
    const before = place(m.vcpu);
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(HANDLERS + 16 * vector + 1);
    expect(m.top(3)).toEqual([error, CODE, CODE_AT[3]]);
    expect(place(m.vcpu)).toEqual({ ...before, cs: HANDLER_CS, flags: before.flags & ~0x10000 });
    expect(reg(m.vcpu, RSP)).toBe(BigInt(SP - 16));
  });

  test("code of an outer level is #GP(selector)", () => {
    const m = caller(0, gate(CODE_AT[3], TARGET, GATE32));
    m.program((a) => a.lcall(FREE, 0));
    expect(m.fault()).toMatchObject({ vector: GP, error: CODE_AT[3] & ~3, ip: CODE });
  });

  test("an RPL above the gate's DPL is #GP(gate)", () => {
    const m = caller(0, gate(CODE_AT[0], TARGET, 0xac));
    m.program((a) => a.lcall(FREE | 2, 0));
    expect(m.fault()).toMatchObject({ vector: GP, error: FREE });
  });

  test("an absent page under the new stack is a supervisor's write", () => {
    const m = caller(3, inner);
    m.d32(TSS + 4, 0x50004);
    m.map(0x4f000, { absent: true });
    m.map(0x50000, { absent: true });
    handleOutside(m, PF);
    m.vcpu.run(1);
    expect(m.top(2)).toEqual([2, CODE]);
    expect(m.vcpu.cr2Lo).toBe(0x50000);
  });

  test("a descriptor that cannot be marked accessed is a page fault, and neither code nor stack changed", () => {
    const m = caller(3, inner);
    m.describe(DATA_AT[0], descriptor(0, 0xfffff, DATA32 & ~1));
    handleOutside(m, PF);
    m.map(GDT, { readOnly: true });
    m.vcpu.run(1);
    expect(m.top(3)).toEqual([3, CODE, CODE_AT[3]]);
    expect(place(m.vcpu)).toMatchObject({ ss: DATA_AT[3], cpl: 3 });
  });
});

describe("faults of a JMP through a call gate (SDM vol. 2, JMP)", () => {
  test.each([
    ["code of an inner level", GP, CODE_AT[0], (m) => m.describe(FREE, gate(CODE_AT[0], TARGET, GATE32))],
    ["gate not present", NP, FREE, (m) => m.describe(FREE, gate(CODE_AT[3], TARGET, 0x6c))],
    ["gate DPL < CPL", GP, FREE, (m) => m.describe(FREE, gate(CODE_AT[3], TARGET, 0xcc))],
    [
      "target beyond the code",
      GP,
      0,
      (m) => m.describe(CODE_AT[3], descriptor(0, TARGET - 1, (CODE32 & ~0x8000) | dplBits(3))),
    ],
  ] as readonly Row[])("%s", (_, vector, error, prepare) => {
    const m = caller(3, gate(CODE_AT[3], TARGET, GATE32), "ljmp");
    prepare(m);
    expect(m.fault()).toMatchObject({ vector, error, ip: CODE, cs: CODE_AT[3], sp: SP, ss: DATA_AT[3] });
  });
});

describe("call gates in IA-32e mode (SDM vol. 3, 5.8.3.1 and 5.8.5.1)", () => {
  const GATE = 0x48;
  const COMPAT_CS = 0x5b;

  /** Code at CPL 3 that calls through a 16-byte gate to 64-bit code at `TARGET`. */
  function machine(selector = KERNEL_CS, attributes = GATE32, upper = 0n, compatibility = false): FakeMachine {
    const m = new FakeMachine();
    m.vcpu.gdtr.limit = 0x7f;
    m.qword(GDT + GATE, gate(selector, TARGET, attributes, 5));
    m.qword(GDT + GATE + 8, upper);
    m.qword(GDT + COMPAT_CS - 3, 0x00cffb000000ffffn);
    m.setPrivilege(m.vcpu, 3);
    setReg(m.vcpu, RSP, USER_STACK);
    if (compatibility) {
      const flat = { selector: COMPAT_CS, baseLo: 0, baseHi: 0, limit: 0xffffffff };
      m.vcpu.setSegment(Seg.CS, { ...flat, attributes: 0xc0fb });
      m.vcpu.setRip(CODE, 0);
      m.assemble(CODE, (a) => a.lcall(GATE | 3, 0), 32);
    } else {
      m.qword(0x21000, BigInt(GATE | 3) << 32n);
      // CALL FAR [0x21000], m16:32
      m.write(CODE, [0xff, 0x1c, 0x25, 0x00, 0x10, 0x02, 0x00]);
    }
    return m;
  }
  const stack = (m: FakeMachine, count: number): number[] =>
    Array.from({ length: count }, (_, k) => Number(m.q(Number(reg(m.vcpu, RSP)) + 8 * k)));

  test.each([false, true])(
    "to an inner level switch to RSP0 with a null SS (from compatibility mode: %s)",
    (compat) => {
      const m = machine(KERNEL_CS, GATE32, 0n, compat);
      m.vcpu.run(1);
      expect(rip(m.vcpu)).toBe(TARGET);
      expect(m.vcpu.mode).toBe(64);
      expect(place(m.vcpu)).toMatchObject({ cs: KERNEL_CS, ss: 0, cpl: 0 });
      expect(reg(m.vcpu, RSP)).toBe(BigInt(RSP0 - 32));
      expect(stack(m, 4)).toEqual([CODE + 7, compat ? COMPAT_CS : USER_CS, USER_STACK, USER_SS]);
    },
  );

  test("RETFQ comes back", () => {
    const m = machine();
    m.assemble(TARGET, (a) => a.retfq());
    m.vcpu.run(2);
    expect(rip(m.vcpu)).toBe(CODE + 7);
    expect(place(m.vcpu)).toMatchObject({ cs: USER_CS, ss: USER_SS, cpl: 3 });
    expect(reg(m.vcpu, RSP)).toBe(BigInt(USER_STACK));
  });

  test.each([false, true])("to the same level push 16 bytes (from compatibility mode: %s)", (compat) => {
    const m = machine(USER_CS, GATE32, 0n, compat);
    m.vcpu.run(1);
    expect(m.vcpu.mode).toBe(64);
    expect(stack(m, 2)).toEqual([CODE + 7, compat ? COMPAT_CS : USER_CS]);
    expect(reg(m.vcpu, RSP)).toBe(BigInt(USER_STACK - 16));
  });

  const rows: readonly (readonly [string, number, number, () => FakeMachine])[] = [
    ["a 16-bit call gate", GP, GATE, () => machine(KERNEL_CS, GATE16)],
    ["a task gate", GP, GATE, () => machine(KERNEL_CS, 0xe5)],
    ["a TSS", GP, GATE, () => machine(KERNEL_CS, 0xe9)],
    ["a type in the upper half", GP, GATE, () => machine(KERNEL_CS, GATE32, 0x100n << 32n)],
    ["gate DPL < CPL", GP, GATE, () => machine(KERNEL_CS, 0xcc)],
    ["gate not present", NP, GATE, () => machine(KERNEL_CS, 0x6c)],
    ["null code selector", GP, 0, () => machine(0)],
    ["code of compatibility mode", GP, COMPAT_CS & ~3, () => machine(COMPAT_CS)],
    ["code selector behind the GDT", GP, 0x80, () => machine(0x80)],
    ["a target that is not canonical", GP, 0, () => machine(KERNEL_CS, GATE32, 0x8000n)],
  ];
  test.each(rows)("%s", (_, vector, error, make) => {
    const m = make();
    m.go();
    expect(rip(m.vcpu)).toBe(HANDLERS + 16 * vector + 1);
    expect(frame(m, true)).toMatchObject({ error, ip: CODE, cs: USER_CS, sp: USER_STACK, ss: USER_SS });
  });

  test("a gate whose upper half is behind the limit is #GP(gate)", () => {
    const m = machine();
    m.vcpu.gdtr.limit = GATE + 14;
    m.go();
    expect(frame(m, true)).toMatchObject({ error: GATE, ip: CODE });
  });

  test("code that is both 64- and 32-bit is #GP(selector)", () => {
    const m = machine(0x60);
    m.qword(GDT + 0x60, 0x00ef9b000000ffffn);
    m.go();
    expect(frame(m, true)).toMatchObject({ error: 0x60, ip: CODE });
  });

  test.each([
    ["RSP0 that is not canonical is #SS(0)", SS, 0, { rsp0: 0x800000000010n, limit: 0x67 }],
    ["a TSS without RSP0 is #TS(TSS)", TS, 0x28, { rsp0: BigInt(RSP0), limit: 10 }],
  ])("%s", (_, vector, error, { rsp0, limit }) => {
    const m = machine();
    m.qword(TSS + 4, rsp0);
    m.vcpu.tr = { ...m.vcpu.tr, limit };
    // At the same level, so that delivery needs no stack of the TSS.
    m.gate(vector, { selector: USER_CS, handler: TARGET });
    m.assemble(TARGET, (a) => a.nop());
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(TARGET + 1);
    expect(stack(m, 3)).toEqual([error, CODE, USER_CS]);
  });
});
