import type { Label } from "../label.js";
import { short } from "../label.js";
import { mem } from "../operand.js";
import { cr0, cr3, cr4, ds, eax, edx, es, fs, gs, rax, rdx, rsp, ss } from "../registers.js";
import { type Guest, qword } from "./context.js";
import { SELECTOR, WINDOW } from "./layout.js";

/** Page table bits (SDM vol. 3, 4.5). */
const PRESENT_WRITABLE = 0x3;
const UNCACHED = 0x18;
const LARGE = 0x80;
const GLOBAL = 0x100;
/** CR0.WP makes read-only pages read-only for the kernel; CR4.PGE lets the identity map stay in the TLB. */
const CR0_WP = 16;
const CR4_PGE = 7;

/** GDT, TSS and page tables of the guest's own; leaves on them, on the same stack. */
export function emitTables(g: Guest): void {
  const { a, at, sub } = g;
  const gdt = a.label("gdt");
  a.bind(sub.setupTables);
  emitPageTables(g);
  emitDescriptorTables(g, gdt);
  a.ret();

  // Code and data descriptors: flat, present, ring 0; L set for the code segment (SDM vol. 3, 3.4.5).
  a.align(8, 0);
  a.bind(gdt);
  a.dq(0, 0x00af_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn);
  // 64-bit TSS: limit 103, type 9; the base lies below 2 GiB (SDM vol. 3, 7.2.3).
  const base = BigInt(at.tss);
  a.dq(103n | ((base & 0xff_ffffn) << 16n) | (0x89n << 40n) | ((base >> 24n) << 56n), 0);
}

function emitPageTables({ a, at }: Guest): void {
  // 2048 large pages in four consecutive directories; those from 3 GiB on hold devices and are uncached.
  a.mov(edx, at.pageDirectories);
  a.mov(eax, PRESENT_WRITABLE | LARGE | GLOBAL);
  const store = a.label("store");
  const large = a.here("large");
  a.cmp(eax, 0xc000_0000);
  a.jb(short(store));
  a.or(eax, UNCACHED);
  a.bind(store);
  a.mov(mem(rdx), rax);
  a.add(rdx, 8);
  a.add(rax, 0x20_0000);
  a.cmp(rdx, at.pageDirectories + 0x4000);
  a.jb(short(large));

  const link = (table: number, index: number, to: number): void => {
    a.mov(qword(table + index * 8), to | PRESENT_WRITABLE);
  };
  link(at.pml4, 0, at.pdpt);
  for (let i = 0; i < 4; i++) link(at.pdpt, i, at.pageDirectories + i * 0x1000);
  const slot = (shift: bigint): number => Number((WINDOW >> shift) & 511n);
  link(at.pml4, slot(39n), at.windowPdpt);
  link(at.windowPdpt, slot(30n), at.windowPd);
  link(at.windowPd, slot(21n), at.windowPt);
  link(at.windowPt, slot(12n), at.statePage);
  a.mov(eax, at.pml4);
  a.mov(cr3, rax);
  a.mov(rax, cr0);
  a.bts(rax, CR0_WP);
  a.mov(cr0, rax);
  a.mov(rax, cr4);
  a.bts(rax, CR4_PGE);
  a.mov(cr4, rax);
}

function emitDescriptorTables({ a, at }: Guest, gdt: Label): void {
  // RSP0 and IST1; an I/O map base behind the limit means no map (SDM vol. 3, 7.7).
  a.mov(qword(at.tss + 4), at.stackTop);
  a.mov(qword(at.tss + 36), at.faultStackTop);
  a.mov(mem(at.tss + 102, { size: 2 }), 104);

  a.sub(rsp, 16);
  a.mov(mem(rsp, { disp: 6, size: 2 }), 5 * 8 - 1);
  a.lea(rax, mem(gdt));
  a.mov(mem(rsp, { disp: 8 }), rax);
  a.lgdt(mem(rsp, { disp: 6 }));
  a.add(rsp, 16);

  const reloaded = a.label("reloaded");
  a.push(SELECTOR.code);
  a.lea(rax, mem(reloaded));
  a.push(rax);
  a.retfq();
  a.bind(reloaded);
  a.mov(eax, SELECTOR.data);
  for (const segment of [ds, es, ss]) a.mov(segment, eax);
  a.xor(eax, eax);
  for (const segment of [fs, gs]) a.mov(segment, eax);
  a.mov(eax, SELECTOR.tss);
  a.ltr(eax);
}
