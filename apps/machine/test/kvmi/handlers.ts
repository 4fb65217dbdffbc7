import { type Assembler, ax, cs, eax, type Label, mem, r14, rax } from "@vm/asm";

/** Where guests leave results. */
export const RESULT = 0x201000;
/** A page for experiments; the one behind it follows it everywhere. */
export const PAGE = 0x300000;

const IDT = 0x202000;

/** An interrupt table with a handler for each of `vectors`; uses RAX and R14. */
export function handlers(a: Assembler, vectors: Readonly<Record<number, Label>>): void {
  const pointer = a.label("idtr");
  const over = a.label("over");
  for (const [vector, label] of Object.entries(vectors)) {
    a.mov(r14, IDT + 16 * Number(vector)).lea(rax, mem(label));
    a.mov(mem(r14), ax)
      .shr(rax, 16)
      .mov(mem(r14, { disp: 6 }), ax)
      .shr(rax, 16)
      .mov(mem(r14, { disp: 8 }), eax);
    a.mov(ax, cs)
      .mov(mem(r14, { disp: 2 }), ax)
      .mov(ax, 0x8e00)
      .mov(mem(r14, { disp: 4 }), ax);
  }
  a.lidt(mem(pointer)).jmp(over);
  a.align(8).bind(pointer).dw(0xfff).dd(IDT, 0);
  a.bind(over);
}
