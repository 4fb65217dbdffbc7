import { mem, rax, rbx, rcx, rsi, rsp } from "@vm/asm";
import { describe, expect, test } from "vitest";
import { CODE, FakeMachine, RAX, RSI, reg } from "./fake-machine.js";

/** Counts how often decoded code is dropped. */
function counting(m: FakeMachine): () => number {
  let drops = 0;
  m.code.onDrop(() => drops++);
  return () => drops;
}

describe("a store into a page with decoded code", () => {
  test("drops nothing when it leaves the code as it is", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => {
      const target = a.label();
      a.mov(rcx, 20);
      const again = a.here();
      a.mov(mem(target, { size: 1 }), 0x90)
        .bind(target)
        .nop()
        .dec(rcx)
        .jnz(again)
        .hlt();
    });
    const drops = counting(m);
    m.go();
    expect(drops()).toBe(0);
  });

  test("drops nothing and is done when it hits no code", () => {
    const m = new FakeMachine();
    const beside = CODE + 0xf00;
    m.assemble(CODE, (a) => {
      a.mov(rax, 5).mov(mem(beside), rax).add(mem(beside), rax).mov(rsi, mem(beside));
      a.mov(rsp, beside).push(rax).hlt();
    });
    const drops = counting(m);
    m.go();
    expect([reg(m.vcpu, RSI), m.q(beside), m.q(beside - 8), drops()]).toEqual([10n, 10n, 5n, 0]);
  });

  test("is no licence for the next one, which hits code", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => {
      const target = a.label();
      a.mov(mem(CODE + 0xf00), rax).mov(mem(target, { disp: 1, size: 1 }), 9);
      a.bind(target).emit([0xb8, 1, 0, 0, 0]).hlt();
    });
    const drops = counting(m);
    m.go();
    expect([reg(m.vcpu, RAX), drops()]).toEqual([9n, 1]);
  });

  test("finds code that is rewritten over and over as new every time", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => {
      const target = a.label();
      a.mov(rcx, 40);
      const again = a.here();
      a.inc(mem(target, { disp: 3, size: 1 }));
      for (let k = 0; k < 30; k++) a.inc(rsi);
      a.bind(target).emit([0x48, 0x83, 0xc0, 0]);
      for (let k = 0; k < 30; k++) a.inc(rsi);
      a.dec(rcx).jnz(again).hlt();
    });
    m.go();
    expect([reg(m.vcpu, RAX), reg(m.vcpu, RSI)]).toEqual([(40n * 41n) / 2n, 2400n]);
  });

  test("costs the vCPU no TLB entries but those of the page", () => {
    const m = new FakeMachine();
    const pages = Array.from({ length: 20 }, (_, k) => 0x30000 + k * 0x1000);
    const target = 0x60000;
    m.assemble(target, (a) => a.mov(rax, 1).ret());
    m.assemble(CODE, (a) => {
      a.mov(rcx, 50).mov(rbx, target);
      const again = a.here();
      for (const page of pages) a.mov(rsi, mem(page)).mov(mem(page), rcx);
      a.inc(mem(target + 3, { size: 1 }))
        .call(rbx)
        .dec(rcx)
        .jnz(again)
        .hlt();
    });
    const drops = counting(m);
    m.go();
    expect([reg(m.vcpu, RAX), drops()]).toEqual([51n, 49]);
    // Each page once to read and once to write; the target by a fetch and a store each time.
    expect(m.vcpu.tlb.misses).toBeLessThan(2 * pages.length + 2 * 50 + 20);
  });

  test("gives the page a number that it never had", () => {
    const { code } = new FakeMachine();
    const dropped: number[] = [];
    code.onDrop((page) => dropped.push(page?.serial ?? 0));
    const first = code.page(1, 64, 0);
    const other = code.page(1, 32, 0);
    code.drop(1);
    expect(dropped).toEqual([other.serial, first.serial]);
    const again = code.page(1, 64, 0);
    code.reset();
    const last = code.page(1, 64, 0);
    expect(dropped).toEqual([other.serial, first.serial, 0]);
    expect(new Set([0, first.serial, other.serial, again.serial, last.serial]).size).toBe(5);
    expect([first, other, again, last].map(({ alive }) => alive)).toEqual([false, false, false, true]);
  });

  test.each([
    [0, 64],
    [63, 64],
    [64, 1],
    [1984, 64],
    [2047, 2],
    [2048, 64],
    [4032, 64],
    [0, 4096],
  ])("is found by the piece of 64 bytes: code in %d and %d bytes on", (offset, length) => {
    const { code } = new FakeMachine();
    code.mark(code.page(1, 64, 0), offset, length);
    const [first, last] = [offset >> 6, (offset + length - 1) >> 6];
    const held = Array.from({ length: 64 }, (_, k) => code.holds(1, 64 * k + 63, 1));
    expect(held).toEqual(Array.from({ length: 64 }, (_, k) => k >= first && k <= last));
    expect(code.holds(1, 0, 4096)).toBe(true);
  });

  test("may go on for ever: what stays of dropped code is bounded", () => {
    const { code } = new FakeMachine();
    const page = code.page(1, 64, 0);
    for (let k = 0; code.reserve(page, 8); k++) {
      expect(k).toBeLessThan(200_000);
      code.addSite(page);
    }
    expect([code.generation, page.alive]).toEqual([1, false]);
  });
});
