/** Programs without an operating system that do one thing that generated code leaves the loop for, over and over. */
import * as x from "@vm/asm";

/** Where the program starts; its tables follow, a page each. */
const ORG = 0x100000;
const [PML4, PDPT, PD, PT, GDT, TSS, IDT] = [1, 2, 3, 4, 5, 6, 7].map((page) => ORG + page * 4096) as [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
];
const TABLES_END = IDT + 4096;
/** Tops of the stacks of level 0 and 3, a page that can be touched, and one that cannot. */
const STACK = 0x180000;
const USER_STACK = 0x190000;
const WINDOW = 0x1a0000;
const ABSENT = 0x1b0000;

const [CODE, DATA, USER_DATA, USER_CODE, TASK] = [0x08, 0x10, 0x1b, 0x23, 0x28];
const ALL_RIGHTS = 7;
const PAGE_FAULT = 14;
const SYSTEM_CALL = 0x80;
const DEBUG_EXIT = 0xf4;

export interface EventProgram {
  readonly name: string;
  /** What happens once a loop. */
  readonly body: (a: x.Assembler) => void;
  readonly loops: number;
}

export const EVENT_PROGRAMS: readonly EventProgram[] = [
  { name: "page fault, IRET", loops: 1_000_000, body: (a) => a.mov(x.rax, x.mem(ABSENT)) },
  {
    name: "IRET to ring 3, INT n back",
    loops: 500_000,
    body: (a) => {
      const [user, back] = [a.label("user"), a.label("back")];
      a.lea(x.rbx, x.mem(back)).lea(x.rax, x.mem(user));
      a.push(USER_DATA).push(USER_STACK).pushfq().push(USER_CODE).push(x.rax).iretq();
      a.bind(user).int(SYSTEM_CALL).bind(back);
    },
  },
  {
    name: "INVLPG, walk",
    loops: 1_000_000,
    body: (a) => a.invlpg(x.mem(x.rdi)).mov(x.rax, x.mem(x.rdi)),
  },
  { name: "RDTSC", loops: 2_000_000, body: (a) => a.rdtsc() },
  { name: "store beside code", loops: 1_000_000, body: (a) => a.mov(x.mem(ORG + 4092), x.eax) },
  {
    name: "store to code that runs",
    loops: 300_000,
    body: (a) => {
      const patched = a.label("patched");
      // NOP and XCHG EAX, ECX by turns.
      a.xor(x.mem(patched, { size: 1 }), 1)
        .align(64)
        .bind(patched)
        .nop();
    },
  },
];

/** An ELF file whose program does `body` so many times and ends the machine with status 1. */
export function eventImage({ body }: EventProgram, loops: number): Uint8Array {
  const image = new Uint8Array(TABLES_END - ORG);
  image.set(code(body, loops));
  tables(new DataView(image.buffer));
  return elf64(image);
}

function code(body: (a: x.Assembler) => void, loops: number): Uint8Array {
  const a = new x.Assembler({ org: ORG });
  const [again, end, fault, call, gdtr, idtr] = ["again", "end", "fault", "call", "gdtr", "idtr"].map((name) =>
    a.label(name),
  ) as [x.Label, x.Label, x.Label, x.Label, x.Label, x.Label];
  a.mov(x.eax, PML4).mov(x.cr3, x.rax).mov(x.rsp, STACK).lgdt(x.mem(gdtr)).lidt(x.mem(idtr));
  a.mov(x.eax, TASK).ltr(x.ax);
  for (const [vector, handler] of [
    [PAGE_FAULT, fault],
    [SYSTEM_CALL, call],
  ] as const)
    a.lea(x.rax, x.mem(handler)).mov(x.mem(IDT + 16 * vector), x.ax);
  a.lea(x.rax, x.mem(again)).push(DATA).push(STACK).pushfq().push(CODE).push(x.rax).iretq();
  a.bind(again).mov(x.r15, loops).mov(x.edi, WINDOW).test(x.r15, x.r15).jz(end);
  const loop = a.here("loop");
  body(a);
  a.dec(x.r15).jnz(loop);
  a.bind(end).xor(x.eax, x.eax).mov(x.edx, DEBUG_EXIT).out(x.dx, x.eax);
  // The load that faults is 8 bytes long.
  a.bind(fault)
    .add(x.rsp, 8)
    .add(x.mem(x.rsp, { size: 8 }), 8)
    .iretq();
  a.bind(call).mov(x.rsp, STACK).jmp(x.rbx);
  a.align(8)
    .bind(gdtr)
    .dw(6 * 8 + 7)
    .dq(GDT)
    .bind(idtr)
    .dw(4095)
    .dq(IDT);
  return a.assemble();
}

/** 2 MiB of pages that map themselves, for every level, and the segments and gates of both levels (SDM vol. 3, 4.5, 3.4.5, 6.14, 7.7). */
function tables(view: DataView): void {
  const put = (at: number, value: number | bigint): void => view.setBigUint64(at - ORG, BigInt(value), true);
  put(PML4, PDPT | ALL_RIGHTS);
  put(PDPT, PD | ALL_RIGHTS);
  put(PD, PT | ALL_RIGHTS);
  for (let page = 0; page < 512; page++) put(PT + 8 * page, page * 4096 === ABSENT ? 0 : (page * 4096) | ALL_RIGHTS);
  const task = 0x67n | (BigInt(TSS & 0xffffff) << 16n) | (0x89n << 40n);
  [0n, 0xaf9b000000ffffn, 0xcf93000000ffffn, 0xcff3000000ffffn, 0xaffb000000ffffn, task, 0n].forEach(
    (descriptor, k) => {
      put(GDT + 8 * k, descriptor);
    },
  );
  put(TSS + 4, STACK);
  for (const [vector, dpl] of [
    [PAGE_FAULT, 0n],
    [SYSTEM_CALL, 3n],
  ] as const)
    put(IDT + 16 * vector, (BigInt(ORG >> 16) << 48n) | ((0x8en | (dpl << 5n)) << 40n) | (BigInt(CODE) << 16n));
}

/** One loadable segment at `ORG` (System V ABI, chapters 4 and 5), with 1 MiB of zeros behind it. */
function elf64(bytes: Uint8Array): Uint8Array {
  const offset = 120;
  const file = new Uint8Array(offset + bytes.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setUint32(24, ORG, true);
  view.setUint32(32, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true);
  [offset, ORG, ORG, bytes.length, 2 ** 20].forEach((value, field) => {
    view.setUint32(72 + 8 * field, value, true);
  });
  file.set(bytes, offset);
  return file;
}
