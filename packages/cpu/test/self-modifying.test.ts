import { al, eax, mem, r8, rax, rbx, rcx, rdi, rsi } from "@vm/asm";
import { describe, expect, test } from "vitest";
import { CODE, FakeMachine, RAX, RCX, RDI, RSI, reg, rip, setReg } from "./fake-machine.js";

/** `mov eax, imm32`, five bytes. */
const movEax = (value: number): number[] => [
  0xb8,
  value & 0xff,
  (value >> 8) & 0xff,
  (value >> 16) & 0xff,
  value >>> 24,
];
const ROUTINE = 0x11000;

/** Calls `ROUTINE`, which loads EAX, with whatever happens in between; EAX of both calls in RSI and RDI. */
function twice(
  m: FakeMachine,
  between: Parameters<FakeMachine["assemble"]>[1],
  routine = ROUTINE,
): readonly [number, number] {
  m.write(routine, [...movEax(1), 0xc3]);
  m.assemble(CODE, (a) => {
    a.mov(r8, routine).call(r8).mov(rsi, rax);
    between(a);
    a.call(r8).mov(rdi, rax).hlt();
  });
  m.go();
  return [Number(reg(m.vcpu, RSI)), Number(reg(m.vcpu, RDI))];
}

describe("self-modifying code", () => {
  test("in the same page: the very next instruction is the new one", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => {
      const target = a.label();
      a.mov(mem(target, { disp: 1, size: 1 }), 9);
      a.bind(target).emit(movEax(1)).hlt();
    });
    m.go();
    expect(reg(m.vcpu, RAX)).toBe(9n);
  });

  test("in a loop that rewrites itself on every turn", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => {
      a.mov(rcx, 50);
      const again = a.here();
      const target = a.label();
      a.inc(mem(target, { disp: 3, size: 1 }));
      a.bind(target).emit([0x48, 0x83, 0xc0, 0]);
      a.dec(rcx).jnz(again).hlt();
    });
    m.go();
    expect(reg(m.vcpu, RAX)).toBe(BigInt((50 * 51) / 2));
  });

  test("in another page", () => {
    const m = new FakeMachine();
    expect(twice(m, (a) => a.mov(mem(ROUTINE + 1, { size: 1 }), 7))).toEqual([1, 7]);
  });

  test("through another linear address of the same frame", () => {
    const m = new FakeMachine();
    m.map(0x70000, { gfn: ROUTINE >> 12 });
    expect(twice(m, (a) => a.mov(mem(0x70001, { size: 1 }), 7))).toEqual([1, 7]);
  });

  test("executed through another linear address than it was written and first executed through", () => {
    const m = new FakeMachine();
    m.map(0x70000, { gfn: ROUTINE >> 12 });
    expect(twice(m, (a) => a.mov(mem(ROUTINE + 1, { size: 1 }), 7).mov(r8, 0x70000))).toEqual([1, 7]);
  });

  test("by a store across the boundary into the page", () => {
    const m = new FakeMachine();
    expect(twice(m, (a) => a.mov(eax, 0x0700b800).mov(mem(ROUTINE - 1), eax))).toEqual([1, 0x700]);
  });

  test("by a read-modify-write, by REP STOS and by REP MOVS", () => {
    expect(twice(new FakeMachine(), (a) => a.lock().add(mem(ROUTINE + 1, { size: 4 }), 0x100))).toEqual([1, 0x101]);
    expect(
      twice(new FakeMachine(), (a) =>
        a
          .mov(al, 3)
          .mov(rdi, ROUTINE + 1)
          .mov(rcx, 4)
          .rep()
          .stosb(),
      ),
    ).toEqual([1, 0x03030303]);
    const m = new FakeMachine();
    m.ram.set([0x44, 0x33, 0x22, 0x11], 0x20000);
    expect(
      twice(m, (a) =>
        a
          .mov(rbx, rsi)
          .mov(rsi, 0x20000)
          .mov(rdi, ROUTINE + 1)
          .mov(rcx, 4)
          .rep()
          .movsb()
          .mov(rsi, rbx),
      ),
    ).toEqual([1, 0x11223344]);
  });

  test("by a device or the host, after `CodeCache.drop`", () => {
    const m = new FakeMachine();
    m.bus.onIoWrite = () => m.write(ROUTINE + 1, [7]);
    expect(twice(m, (a) => a.out(0x10, al))).toEqual([1, 7]);
  });

  test("an instruction over two pages, either of which changes", () => {
    const start = ROUTINE + 0x1000 - 2;
    for (const [offset, expected] of [
      [1, 0x00000009],
      [2, 0x00000901],
      [4, 0x09000001],
    ] as const) {
      const m = new FakeMachine();
      expect(twice(m, (a) => a.mov(mem(start + offset, { size: 1 }), 9), start)).toEqual([1, expected]);
    }
  });

  test("an instruction over two pages whose second page is mapped elsewhere", () => {
    const m = new FakeMachine();
    const start = ROUTINE + 0x1000 - 2;
    m.write(0x71000, [0x55, 0x66, 0x77, 0xc3]);
    m.bus.onIoWrite = () => m.map(ROUTINE + 0x1000, { gfn: 0x71 });
    expect(twice(m, (a) => a.out(0x10, al), start)).toEqual([1, 0x77665501]);
  });

  test("the page that a page table change puts behind the code", () => {
    const m = new FakeMachine();
    m.write(0x71000, [...movEax(42), 0xc3]);
    m.bus.onIoWrite = () => m.map(ROUTINE, { gfn: 0x71 });
    expect(twice(m, (a) => a.out(0x10, al))).toEqual([1, 42]);
  });

  test("data in a page with code is written without losing the code", () => {
    const m = new FakeMachine();
    expect(twice(m, (a) => a.mov(mem(ROUTINE + 0x800), rax).mov(mem(ROUTINE + 0x801, { size: 1 }), 5))).toEqual([1, 1]);
    expect(m.q(ROUTINE + 0x800)).toBe(0x0501n);
  });

  test("an instruction that rewrites itself completes as what it was", () => {
    const m = new FakeMachine();
    // mov byte [rdi], 0xf4: HLT in place of its first byte.
    m.assemble(CODE, (a) => a.mov(rdi, CODE + 0x100).jmp(CODE + 0x100));
    m.assemble(CODE + 0x100, (a) => a.emit([0xc6, 0x07, 0xf4]).nop().nop().hlt());
    m.go();
    expect(rip(m.vcpu)).toBe(CODE + 0x106);
    expect(m.ram[CODE + 0x100]).toBe(0xf4);
  });

  test("more code than the cache holds: everything is dropped, and execution goes on", () => {
    const m = new FakeMachine();
    // One routine at the start of each of 160 pages; the cache has 128 maps.
    const pages = Array.from({ length: 160 }, (_, k) => 0x30000 + k * 0x1000);
    pages.forEach((page, k) => {
      m.assemble(page, (a) => a.add(rax, 1).jmp(pages[k + 1] ?? CODE));
    });
    m.assemble(CODE, (a) => a.dec(rcx).jnz(0x30000).hlt());
    setReg(m.vcpu, RCX, 4);
    m.go();
    expect(reg(m.vcpu, RAX)).toBe(160n * 3n);
    expect(m.code.generation).toBeGreaterThan(0);
  });
});
