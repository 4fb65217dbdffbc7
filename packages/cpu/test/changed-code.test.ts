import { al, rax, rbx, rcx } from "@vm/asm";
import { describe, expect, test } from "vitest";
import { CODE, FakeMachine, RAX, reg } from "./fake-machine.js";

const PORT = 0x10;
/** Another page, with the same code but for what is added. */
const OTHER = 0x12000;
/** Where the page of code has its ADD, and where its loop goes on. */
const ADD = 0x40;
const REST = 0x60;
const TURNS = 50;
/** In this turn something happens. */
const TURN = 40;

interface Way {
  /** The jump to the ADD: what it leads to is in the instruction, or only execution tells. */
  readonly jump: "direct" | "indirect";
  /** INVLPG of the page that executes follows the OUT. */
  readonly invalidates?: boolean;
}

/** Turns of a loop in one page: OUT, and a jump to an ADD. What is found within a page must not be what was there before. */
function loop(m: FakeMachine, at: number, value: number, { jump, invalidates = false }: Way): void {
  m.assemble(at, (a) => {
    a.mov(rcx, TURNS).mov(rbx, CODE + ADD);
    a.jmp(CODE + 0x20 + (at - CODE));
  });
  m.assemble(at + 0x20, (a) => {
    a.out(PORT, al);
    if (invalidates) a.emit([0x0f, 0x01, 0x3d, 0, 0, 0, 0]);
    if (jump === "direct") a.jmp(at + ADD);
    else a.jmp(rbx);
  });
  m.assemble(at + ADD, (a) => a.add(rax, value).jmp(at + REST));
  m.assemble(at + REST, (a) =>
    a
      .dec(rcx)
      .jnz(at + 0x20)
      .hlt(),
  );
}

/** RAX after all turns; `change` is what the OUT of one turn does. */
function sum(change: (m: FakeMachine) => void, way: Way): bigint {
  const m = new FakeMachine();
  let outs = 0;
  m.bus.onIoWrite = () => {
    if (++outs === TURN) change(m);
  };
  loop(m, CODE, 1, way);
  loop(m, OTHER, 16, way);
  m.go();
  return reg(m.vcpu, RAX);
}

const BEFORE = BigInt(TURN - 1);
const AFTER = BigInt(TURNS + 1 - TURN);

describe.each(["direct", "indirect"] as const)("the page that executes, with %s jumps,", (jump) => {
  test("is written by a device: the very next instruction is the new one", () => {
    expect(sum(() => undefined, { jump })).toBe(BigInt(TURNS));
    expect(sum((m) => m.write(CODE + ADD + 3, [16]), { jump })).toBe(BEFORE + AFTER * 16n);
  });

  test("is mapped elsewhere, and INVLPG says so: the very next instruction is the one there", () => {
    // Nothing but the guest's own instruction makes the processor look.
    const remap = (m: FakeMachine): unknown => m.mmu.pages.set(CODE >> 12, { gfn: OTHER >> 12 });
    expect(sum(remap, { jump, invalidates: true })).toBe(BEFORE + AFTER * 16n);
  });

  test("is watched from a hook on: an instruction in it is reported the next time", () => {
    const m = new FakeMachine();
    const seen: bigint[] = [];
    let outs = 0;
    m.vcpu.hooks = {
      io: () => {
        if (++outs === TURN) m.vcpu.watchCode(CODE + ADD, 0, true);
      },
      execute: (address) => {
        seen.push(address);
      },
    };
    loop(m, CODE, 1, { jump });
    m.go();
    expect(seen).toEqual(Array.from({ length: TURNS + 1 - TURN }, () => BigInt(CODE + ADD)));
    expect(reg(m.vcpu, RAX)).toBe(BigInt(TURNS));
  });
});
