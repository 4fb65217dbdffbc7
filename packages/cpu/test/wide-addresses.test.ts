import { eax, ecx, mem, rbx, rdi, rdx, rsi } from "@vm/asm";
import { describe, expect, test } from "vitest";
import { CODE, DATA, FakeMachine, RBX, RDX, reg, setReg } from "./fake-machine.js";

/** Guest-physical addresses of more than 44 bits: frame numbers that no 32-bit integer holds. */
const SHARED_BIT = 2 ** 47;
const GPA = SHARED_BIT + 0xfec00000;
const LINEAR = 0x7000_0000;
/** A page whose guest frame has the low half of that of `CODE`, and whose bytes are elsewhere. */
const ALIAS = 0x7100_0000;
const ALIAS_GFN = (SHARED_BIT + CODE) / 4096;
const ALIAS_AT = 0x50000;

type Write = Parameters<FakeMachine["assemble"]>[1];

describe("a device at a guest-physical address beyond 32-bit frame numbers", () => {
  const machine = (write: Write): FakeMachine => {
    const m = new FakeMachine();
    m.mmu.devices.add(GPA / 4096);
    m.map(LINEAR, { gfn: GPA / 4096 });
    m.assemble(CODE, (a) => {
      write(a);
      a.hlt();
    });
    setReg(m.vcpu, RBX, LINEAR);
    return m;
  };
  const at = (offset: number): string => (GPA + offset).toString(16);

  test.each([
    ["a load", (a) => a.mov(eax, mem(rbx, { disp: 0x10 })), [`read ${at(0x10)} 4`]],
    ["a store", (a) => a.mov(eax, 5).mov(mem(rbx, { disp: 0x20 }), eax), [`write ${at(0x20)} 4 5`]],
    ["both at once", (a) => a.add(mem(rbx, { size: 4 }), 1), [`read ${at(0)} 4`, `write ${at(0)} 4 1`]],
    [
      "a string",
      (a) => a.mov(ecx, 2).mov(rdi, rbx).mov(eax, 7).rep().stosb(),
      [`write ${at(0)} 1 7`, `write ${at(1)} 1 7`],
    ],
    ["a copy", (a) => a.mov(rsi, rbx).mov(rdi, DATA).movsb(), [`read ${at(0)} 1`]],
  ] as [string, Write, string[]][])("is reached by %s, and hooks are told the address", (_, write, log) => {
    const m = machine(write);
    const seen = new Set<number>();
    m.vcpu.hooks.mmio = (gpa) => void seen.add(gpa);
    m.go();
    expect(m.bus.log).toEqual(log);
    expect([...seen].map((gpa) => gpa.toString(16)).sort()).toEqual([
      ...new Set(log.map((line) => line.split(" ")[1])),
    ]);
  });
});

describe("two guest frames whose numbers have the same low half", () => {
  /** At CODE: calls the code behind the alias and one beside it; they differ in what they add to RDX. */
  const machine = (): FakeMachine => {
    const m = new FakeMachine();
    m.mmu.frames.set(ALIAS_GFN, ALIAS_AT / 4096);
    m.map(ALIAS, { gfn: ALIAS_GFN });
    m.assemble(CODE, (a) =>
      a
        .add(rdx, 1)
        .mov(mem(rbx, { disp: 0x100 }), ecx)
        .jmp(ALIAS),
    );
    m.assemble(ALIAS_AT, (a) => a.add(rdx, 0x10).hlt());
    setReg(m.vcpu, RBX, ALIAS);
    setReg(m.vcpu, RDX, 0);
    return m;
  };

  /** Runs on from `address` after a HLT. */
  const runFrom = (m: FakeMachine, address: number): void => {
    m.vcpu.activity = "active";
    m.vcpu.setRip(address, 0);
    m.go();
  };

  test("are decoded apart", () => {
    const m = machine();
    m.go();
    expect(reg(m.vcpu, RDX)).toBe(0x11n);
    const [code, alias] = [m.code.known(CODE / 4096, 64), m.code.known(ALIAS_GFN, 64)];
    expect([code?.alive, alias?.alive, code === alias]).toEqual([true, true, false]);
    m.code.drop(ALIAS_GFN);
    expect([code?.alive, alias?.alive]).toEqual([true, false]);
  });

  test("a store to one drops the code that was decoded there, and no other", () => {
    const m = machine();
    m.go();
    const code = m.code.known(CODE / 4096, 64);
    // MOV byte [RBX+3], 0x20: the immediate of the ADD behind the alias.
    m.assemble(DATA, (a) => a.emit([0xc6, 0x43, 0x03, 0x20]).jmp(CODE));
    setReg(m.vcpu, RDX, 0);
    runFrom(m, DATA);
    expect(reg(m.vcpu, RDX)).toBe(0x21n);
    expect(code?.alive).toBe(true);
  });

  test("code that appears behind one is seen by stores through it", () => {
    const m = machine();
    m.go();
    // Stores to the alias have had a TLB entry before there was code; the second one changes the code that has run meanwhile.
    setReg(m.vcpu, RBX, ALIAS - 0x100);
    setReg(m.vcpu, 1, 0x20c28348);
    runFrom(m, CODE);
    // ADD RDX, 0x20 has taken the place of ADD RDX, 0x10.
    expect(reg(m.vcpu, RDX)).toBe(0x11n + 0x21n);
  });
});
