import { mem, rax, rcx, rsi, rsp } from "@vm/asm";
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
