import {
  Assembler,
  al,
  cr0,
  cr3,
  cr4,
  ds,
  eax,
  ebx,
  ecx,
  edi,
  es,
  esi,
  esp,
  type GuestImage,
  mem,
  ss,
} from "../src/index.js";

const SHIM = 0x20_0000;
const ZERO_PAGE = 0x7000;
const PML4 = 0x9000;

/**
 * An ELF file that QEMU's `-kernel` starts through its PVH note (Xen, "HVM direct boot ABI": 32-bit protected mode,
 * paging off, EBX = hvm_start_info). The shim in it turns that into the state the guest wants: long mode, 4 GiB mapped,
 * RSI = a zero page with the command line.
 */
export function pvhElf(guest: GuestImage): Uint8Array {
  return elf([
    { address: guest.loadAddress, bytes: guest.image },
    { address: SHIM, bytes: shim(guest.entry) },
  ]);
}

function shim(entry: number): Uint8Array {
  const a = new Assembler({ org: SHIM, bits: 32 });
  const gdtr = a.label("gdtr");
  const gdt = a.label("gdt");
  const long = a.label("long");
  a.cli();
  a.cld();
  // SeaBIOS leaves the 8259 and its timer on; the guest's platform has neither. With an interrupt already on its way
  // QEMU would take "no vector" for one as soon as LINT0 is masked.
  a.mov(al, 0xff);
  a.out(0x21, al);
  a.out(0xa1, al);
  a.mov(esp, 0x8000);
  a.mov(edi, ZERO_PAGE);
  a.mov(ecx, 0x8000 / 4);
  a.xor(eax, eax);
  a.rep().stosd();
  a.mov(eax, mem(ebx, { disp: 0x18 })); // hvm_start_info.cmdline_paddr
  a.mov(mem(ZERO_PAGE + 0x228), eax);
  a.mov(mem(PML4, { size: 4 }), (PML4 + 0x1000) | 3);
  for (let i = 0; i < 4; i++) a.mov(mem(PML4 + 0x1000 + 8 * i, { size: 4 }), (PML4 + 0x2000 + i * 0x1000) | 3);
  a.mov(edi, PML4 + 0x2000);
  a.mov(eax, 0x83);
  const fill = a.here("fill");
  a.mov(mem(edi), eax);
  a.add(edi, 8);
  a.add(eax, 0x20_0000);
  a.jnc(fill);
  a.mov(eax, PML4);
  a.mov(cr3, eax);
  a.mov(eax, 0x20);
  a.mov(cr4, eax);
  a.mov(ecx, 0xc000_0080);
  a.rdmsr();
  a.bts(eax, 8);
  a.wrmsr();
  a.mov(eax, 0x8000_0001);
  a.mov(cr0, eax);
  a.lgdt(mem(gdtr));
  a.ljmp(0x10, long);
  a.bits = 64;
  a.bind(long);
  a.mov(eax, 0x18);
  for (const segment of [ds, es, ss]) a.mov(segment, eax);
  a.mov(esi, ZERO_PAGE);
  a.jmp(entry);
  a.align(8);
  a.bind(gdt);
  a.dq(0, 0, 0x00af_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn);
  a.bind(gdtr);
  a.dw(31);
  a.dd(gdt);
  return a.assemble();
}

/** A 64-bit ELF executable with one PT_LOAD per segment and the PVH note (XEN_ELFNOTE_PHYS32_ENTRY, 18). */
function elf(segments: readonly { address: number; bytes: Uint8Array }[]): Uint8Array {
  const count = segments.length + 1;
  const noteAt = 64 + 56 * count;
  const note = new Assembler().dd(4, 8, 18).db("Xen\0").dq(SHIM).assemble();
  const header = new Assembler();
  header.db(0x7f, "ELF", 2, 1, 1, 0).dq(0).dw(2, 62).dd(1).dq(SHIM, 64, 0).dd(0).dw(64, 56, count, 64, 0, 0);
  let offset = 0x1000;
  for (const { address, bytes } of segments) {
    header.dd(1, 7).dq(offset, address, address, bytes.length, bytes.length, 0x1000);
    offset += Math.ceil(bytes.length / 0x1000) * 0x1000;
  }
  header.dd(4, 4).dq(noteAt, 0, 0, note.length, note.length, 4);
  const file = new Uint8Array(offset);
  file.set(header.emit(note).assemble());
  offset = 0x1000;
  for (const { bytes } of segments) {
    file.set(bytes, offset);
    offset += Math.ceil(bytes.length / 0x1000) * 0x1000;
  }
  return file;
}
