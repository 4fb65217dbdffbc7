import {
  Assembler,
  cr0,
  cr3,
  cr4,
  ds,
  eax,
  ebx,
  ecx,
  edx,
  es,
  mem,
  r8,
  r8d,
  r9,
  r9d,
  r10d,
  r11d,
  r12,
  r12d,
  r13d,
  r14d,
  r15d,
  short,
  ss,
} from "@vm/asm";

const PAGE = 4096;
const LARGE_PAGE = 2 ** 21;
const GIB = 2 ** 30;
const END = 2 ** 32;
/** The image: a page of variables, page tables, a page of code whose last 16 bytes are where a TD starts. */
const TABLES = 5;
const SIZE = (1 + TABLES + 1) * PAGE;
const BASE = END - SIZE;
const [VARIABLES_SIZE, METADATA] = [0x800, 0xe00];
/** Memory that the image has added: a page for reports, one for the list of memory. */
const MEMORY = 0x81_0000;
const HOB = 0x80_9000;

/** What is at 1 GiB + x is at x, shared. */
const SHARED = GIB;
const SHARED_BIT = 2n ** 47n;
/** An access structure and where its bytes go, in memory that is shared. */
const [ACCESS, BUFFER] = [0x20_0000, 0x20_0010];

/** Present, writable, accessed; of a leaf also dirty and large. */
const [TABLE, LEAF] = [0x23, 0xe3];
const CODE_64_DESCRIPTOR = 0x00af_9b00_0000_ffffn;
const DATA_DESCRIPTOR = 0x00cf_9300_0000_ffffn;

const [VMCALL, MR_REPORT] = [0, 4];
const [IO, MAP_GPA] = [30, 0x10001];
/** R10 to R15. */
const MASK = 0xfc00;
const COM1 = 0x3f8;
const FW_CFG = 0x510;
/** TDINFO_STRUCT.MRTD in a TDREPORT, and its bytes. */
const [MRTD, MRTD_SIZE] = [512 + 16, 48];

/** Firmware with TDVF metadata that does what `write` says in 64-bit mode, R8 being what RCX was, and then powers off. One processor. */
export function tinyFirmware(write: (a: Assembler) => void): Uint8Array {
  const image = new Uint8Array(SIZE);
  const view = new DataView(image.buffer);
  putVariables(image.subarray(0, PAGE));
  const sections = [
    // BFV, measured; CFV; TempMem; TD_HOB: offset, raw size, address, size, type, attributes.
    [PAGE, SIZE - PAGE, BASE + PAGE, SIZE - PAGE, 0, 1],
    [0, PAGE, BASE, PAGE, 1, 0],
    [0, 0, MEMORY, PAGE, 3, 0],
    [0, 0, HOB, PAGE, 2, 0],
  ];
  const head = [0x46564454, 16 + 32 * sections.length, 1, sections.length];
  const entries = sections.flatMap(([offset, raw, address, size, ...rest]) => [
    offset,
    raw,
    address,
    0,
    size,
    0,
    ...rest,
  ]);
  [...head, ...entries].forEach((value, k) => {
    view.setUint32(METADATA + 4 * k, value ?? 0, true);
  });
  putTables(new DataView(image.buffer, PAGE));
  image.set(code(write), SIZE - PAGE);
  view.setUint32(SIZE - 32, METADATA, true);
  return image;
}

/** A firmware volume with a store of variables, which are not erased. */
function putVariables(volume: Uint8Array): void {
  const view = new DataView(volume.buffer);
  view.setUint32(40, 0x4856465f, true);
  view.setUint16(48, 0x48, true);
  volume.set([0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92], 0x48);
  view.setUint32(0x58, VARIABLES_SIZE, true);
}

/** PML4, PDPT, and page directories of the first GiB, of the same as shared memory, and of the fourth. */
function putTables(view: DataView): void {
  const page = (k: number): number => BASE + PAGE + k * PAGE;
  const put = (table: number, index: number, value: number | bigint): void =>
    view.setBigUint64(table * PAGE + 8 * index, BigInt(value), true);
  put(0, 0, page(1) + TABLE);
  for (const [gib, table] of [
    [0, 2],
    [1, 3],
    [3, 4],
  ] as const)
    put(1, gib, page(table) + TABLE);
  for (let k = 0; k < 512; k++) {
    put(2, k, k * LARGE_PAGE + LEAF);
    put(3, k, BigInt(k * LARGE_PAGE + LEAF) + SHARED_BIT);
    put(4, k, 3 * GIB + k * LARGE_PAGE + LEAF);
  }
}

function code(write: (a: Assembler) => void): Uint8Array {
  const a = new Assembler({ org: END - PAGE, bits: 32 });
  const [long, gdt, gdtr] = [a.label("long"), a.label("gdt"), a.label("gdtr")];
  const start = a.here("start");
  a.mov(ebx, ecx).lgdt(mem(gdtr));
  a.mov(eax, cr4)
    .or(eax, 1 << 5)
    .mov(cr4, eax);
  a.mov(eax, BASE + PAGE).mov(cr3, eax);
  a.mov(eax, cr0)
    .or(eax, 2 ** 31)
    .mov(cr0, eax);
  a.ljmpd(8, long);
  a.align(8);
  a.bind(gdt).dq(0, CODE_64_DESCRIPTOR, DATA_DESCRIPTOR);
  a.bind(gdtr).dw(23).dd(gdt);
  a.bits = 64;
  a.bind(long).mov(eax, 0x10);
  for (const segment of [ds, es, ss]) a.mov(segment, eax);
  a.mov(r8d, ebx);
  write(a);
  // S5 of an ICH9.
  out(a, 0x605, 1, 0x20);
  a.space(PAGE - 16 - a.offset, 0xcc);
  a.bits = 32;
  a.jmp(start);
  a.space(PAGE - a.offset, 0);
  return a.assemble();
}

/** TDG.VP.VMCALL<Instruction.IO>, R13 to R15 being set. */
function io(a: Assembler, size: number): void {
  a.xor(r10d, r10d).mov(r11d, IO).mov(r12d, size).mov(ecx, MASK).mov(eax, VMCALL).tdcall();
}

function out(a: Assembler, port: number, size: number, value: number): void {
  a.mov(r13d, 1).mov(r14d, port).mov(r15d, value);
  io(a, size);
}

/** R15 goes over COM1. */
function say(a: Assembler): void {
  a.mov(r13d, 1).mov(r14d, COM1);
  io(a, 1);
}

/** Sends memory from R9 on over COM1; `count` bytes. */
function sayMemory(a: Assembler, count: number): void {
  a.mov(edx, count);
  const next = a.here("next");
  a.movzx(r15d, mem(r9, { size: 1 }));
  say(a);
  a.inc(r9).dec(edx).jnz(short(next));
}

/** Selects an item of fw_cfg, and sends its first bytes over COM1. */
export function sayItem(a: Assembler, item: number, count: number): void {
  out(a, FW_CFG, 2, item);
  a.mov(edx, count);
  const next = a.here("next");
  a.xor(r13d, r13d).mov(r14d, FW_CFG + 1);
  io(a, 1);
  a.mov(r15d, r11d);
  say(a);
  a.dec(edx).jnz(short(next));
}

/** Shares the page that DMA goes to. */
export function share(a: Assembler): void {
  a.mov(r12, SHARED_BIT + BigInt(ACCESS)).mov(r13d, PAGE);
  a.xor(r10d, r10d).mov(r11d, MAP_GPA).mov(ecx, MASK).mov(eax, VMCALL).tdcall();
}

/** The same as {@link sayItem} by DMA `to` a guest-physical address, behind {@link share}. Another control than 0 at its end is sent instead. */
export function sayItemByDma(a: Assembler, item: number, count: number, to = BUFFER): void {
  const [READ, SELECT, ERROR] = [2, 8, 1];
  a.mov(r9d, SHARED + ACCESS);
  [item * 0x1_0000 + READ + SELECT, count, 0, to].forEach((value, k) => {
    a.mov(mem(r9, { disp: 4 * k, size: 4 }), swap(value));
  });
  out(a, FW_CFG + 4, 4, 0);
  out(a, FW_CFG + 8, 4, swap(ACCESS));
  const look = a.here("look");
  a.mov(r15d, mem(r9)).mov(eax, r15d).and(eax, ~swap(ERROR)).jnz(short(look));
  const [failed, done] = [a.label("failed"), a.label("done")];
  a.test(r15d, r15d).jnz(failed);
  a.mov(r9d, SHARED + to);
  sayMemory(a, count);
  a.jmp(done);
  a.bind(failed).shr(r15d, 24);
  say(a);
  a.bind(done);
}

/** Sends the first bytes of the TD HOB over COM1, which R8 points to. */
export function sayHob(a: Assembler, count: number): void {
  a.mov(r9, r8);
  sayMemory(a, count);
}

/** Sends the MRTD that the module reports over COM1, 48 bytes. */
export function sayMrtd(a: Assembler): void {
  a.mov(ecx, MEMORY)
    .mov(edx, MEMORY + PAGE / 2)
    .xor(r8d, r8d)
    .mov(eax, MR_REPORT)
    .tdcall();
  a.mov(r9d, MEMORY + MRTD);
  sayMemory(a, MRTD_SIZE);
}

/** The 32-bit number with its bytes in the other order. */
function swap(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value);
  return view.getInt32(0, true);
}
