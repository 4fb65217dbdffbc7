import {
  Assembler,
  cr0,
  cr3,
  cr4,
  ds,
  eax,
  ecx,
  es,
  esi,
  fs,
  gs,
  type Label,
  mem,
  r8,
  r8d,
  r10d,
  r11d,
  r12,
  r12d,
  r13,
  r13d,
  r14,
  rax,
  rcx,
  rsi,
  rsp,
  short,
  ss,
} from "@vm/asm";
import { TdImageError } from "./errors.js";
import { LOADER_ACCEPT, LOADER_BASE, LOADER_CODE, LOADER_END, LOADER_TABLES, MAX_ACCEPT_RANGES } from "./layout.js";

/** A range of guest-physical addresses, in bytes. */
export interface GpaRange {
  readonly start: number;
  /** First address behind it. */
  readonly end: number;
}

/** What the loader is to do; it is part of what is measured. */
export interface LoaderDesc {
  /** Private memory that is not there from the start, in pages. */
  readonly accept: readonly GpaRange[];
  /** Where the first processor goes when all is accepted, in 64-bit mode with the first 4 GiB identity-mapped. Below 4 GiB. */
  readonly entry: number;
  /** What it has there in RSI, a Linux kernel's zero page, and in RSP. Below 4 GiB. */
  readonly argument: number;
  /** The page in which the other processors are told where to go (ACPI 6.5, 5.2.12.19), a multiple of 4096 below 4 GiB. */
  readonly mailbox: number;
}

const PAGE = 4096;
const LARGE_PAGE = 2 ** 21;
/** Present, writable, accessed; of a leaf also dirty and large. */
const TABLE = 0x23;
const LEAF = 0xe3;
const CR0_PG = 2 ** 31;
const CR4_PAE = 1 << 5;
const CODE_64 = 0x08;
const DATA = 0x10;
const CODE_64_DESCRIPTOR = 0x00af_9b00_0000_ffffn;
const DATA_DESCRIPTOR = 0x00cf_9300_0000_ffffn;
/** TDG.VP.VMCALL, TDG.MEM.PAGE.ACCEPT. */
const [VMCALL, ACCEPT] = [0, 6];
/** High half of TDX_PAGE_ALREADY_ACCEPTED: a page that was there from the start, which is measured. */
const ALREADY_ACCEPTED = 0xb0a;
/** TDVMCALL<ReportFatalError>; R12 = code, as text in R14: "ACCEPT". */
const REPORT_FATAL_ERROR = 0x10003;
const FATAL_TEXT = 0x5450_4543_4341n;
/** R10 to R14. */
const FATAL_MASK = 0x7c00;
const WAKEUP = 1;
const RESET_SIZE = 16;
const INT3 = 0xcc;

/**
 * The first code of a TD: takes every processor from the state in which the TDX module starts it to 64-bit mode, has the first accept memory and go to a kernel,
 * and the others wait at the mailbox. It trusts nothing that the host says at run time.
 *
 * A page that cannot be accepted is reported as a fatal error, and the TD ends. One that is there already is one that was added, and measured.
 * @returns the pages from {@link LOADER_BASE} up to 4 GiB
 * @throws TdImageError
 */
export function tdLoader(desc: LoaderDesc): Uint8Array {
  const image = new Uint8Array(LOADER_END - LOADER_BASE);
  image.set(pageTables(), LOADER_TABLES - LOADER_BASE);
  image.set(acceptTable(desc.accept), LOADER_ACCEPT - LOADER_BASE);
  image.set(code(desc), LOADER_CODE - LOADER_BASE);
  return image;
}

/** 4 GiB, identity-mapped by 2 MiB pages. */
function pageTables(): Uint8Array {
  const tables = new Uint8Array(6 * PAGE);
  const view = new DataView(tables.buffer);
  const page = (k: number): number => LOADER_TABLES + k * PAGE;
  view.setUint32(0, page(1) + TABLE, true);
  for (let gib = 0; gib < 4; gib++) view.setUint32(PAGE + 8 * gib, page(2 + gib) + TABLE, true);
  for (let k = 0; k < 2048; k++) view.setUint32(2 * PAGE + 8 * k, k * LARGE_PAGE + LEAF, true);
  return tables;
}

function acceptTable(ranges: readonly GpaRange[]): Uint8Array {
  if (ranges.length > MAX_ACCEPT_RANGES)
    throw new TdImageError("too-many", `${ranges.length} ranges to accept; there is room for ${MAX_ACCEPT_RANGES}`);
  const table = new Uint8Array(PAGE);
  const view = new DataView(table.buffer);
  ranges.forEach(({ start, end }, k) => {
    const pages = Number.isInteger(start / PAGE) && Number.isInteger(end / PAGE);
    if (!pages || start < 0 || start >= end || end > LOADER_BASE)
      throw new TdImageError("range", `[${start}, ${end}) is to be accepted: not pages below the loader`);
    view.setUint32(16 * k, start, true);
    view.setUint32(16 * k + 8, end, true);
  });
  return table;
}

function code({ entry, argument, mailbox }: LoaderDesc): Uint8Array {
  for (const [what, address] of Object.entries({ entry, argument, mailbox }))
    if (!Number.isInteger(address) || address < 0 || address >= LOADER_BASE)
      throw new TdImageError("range", `${what} 0x${address.toString(16)}: expected an address below the loader`);
  const a = new Assembler({ org: LOADER_CODE, bits: 32 });
  const start = a.here("start");
  toLongMode(a);
  const park = a.label("park");
  a.test(esi, esi).jnz(park);
  acceptAll(a);
  a.mov(esi, argument).mov(rsp, rsi).mov(eax, entry).jmp(rax);
  a.bind(park);
  waitAtMailbox(a, mailbox);
  // All vCPUs start 16 bytes below 4 GiB.
  a.space(PAGE - RESET_SIZE - a.offset, INT3);
  a.bits = 32;
  a.jmp(start);
  a.space(PAGE - a.offset, INT3);
  return a.assemble();
}

/** From 32-bit protected mode without paging, EFER.LME set, to 64-bit mode. ESI = index of the vCPU stays. */
function toLongMode(a: Assembler): void {
  const [long, gdt, gdtr] = [a.label("long"), a.label("gdt"), a.label("gdtr")];
  a.lgdt(mem(gdtr));
  a.mov(eax, cr4).or(eax, CR4_PAE).mov(cr4, eax);
  a.mov(eax, LOADER_TABLES).mov(cr3, eax);
  a.mov(eax, cr0).or(eax, CR0_PG).mov(cr0, eax);
  a.ljmpd(CODE_64, long);
  a.align(8);
  a.bind(gdt).dq(0, CODE_64_DESCRIPTOR, DATA_DESCRIPTOR);
  a.bind(gdtr)
    .dw(3 * 8 - 1)
    .dd(gdt);
  a.bits = 64;
  a.bind(long).mov(eax, DATA);
  for (const segment of [ds, es, ss, fs, gs]) a.mov(segment, eax);
}

/** By 2 MiB where that fits and the host has it so, else by 4 KiB. R12 is the next pair, R13 to R14 what is left of this one. */
function acceptAll(a: Assembler): void {
  const [range, page, small, smallDone, done, failed] = ["range", "page", "small", "small done", "done", "failed"].map(
    (name) => a.label(name),
  ) as [Label, Label, Label, Label, Label, Label];
  a.mov(r12d, LOADER_ACCEPT);
  a.bind(range);
  a.mov(r13, mem(r12))
    .mov(r14, mem(r12, { disp: 8 }))
    .add(r12, 16);
  a.test(r14, r14).jz(done);
  a.bind(page);
  a.test(r13d, LARGE_PAGE - 1).jnz(small);
  a.mov(rax, r14).sub(rax, r13).cmp(rax, LARGE_PAGE).jb(small);
  a.mov(rcx, r13).or(rcx, 1).mov(eax, ACCEPT).tdcall();
  a.test(rax, rax).jnz(small);
  a.add(r13, LARGE_PAGE).cmp(r13, r14).jb(page).jmp(range);
  a.bind(small);
  a.mov(rcx, r13).mov(eax, ACCEPT).tdcall();
  a.test(rax, rax).jz(smallDone);
  a.mov(rcx, rax).shr(rcx, 32).cmp(ecx, ALREADY_ACCEPTED).jnz(failed);
  a.bind(smallDone);
  a.add(r13, PAGE).cmp(r13, r14).jb(page).jmp(range);
  a.bind(failed);
  a.mov(r12, rax).mov(r14, FATAL_TEXT).xor(r10d, r10d).mov(r11d, REPORT_FATAL_ERROR);
  a.mov(ecx, FATAL_MASK).mov(eax, VMCALL).tdcall().ud2();
  a.bind(done);
}

/** ESI = index of the vCPU, which is its APIC ID. */
function waitAtMailbox(a: Assembler, mailbox: number): void {
  const look = a.label("look");
  a.mov(r8d, mailbox);
  a.bind(look).pause();
  a.cmp(mem(r8, { size: 2 }), WAKEUP).jnz(short(look));
  a.cmp(mem(r8, { disp: 4 }), esi).jnz(short(look));
  a.mov(rax, mem(r8, { disp: 8 }))
    .mov(mem(r8, { size: 2 }), 0)
    .jmp(rax);
}
