import { Seg, type Vcpu } from "@vm/cpu";
import type { Mmu } from "@vm/mmu";

const PRESENT_WRITABLE = 3;
const LARGE = 0x80;
const CR4_PAE = 1 << 5;
const CR4_LA57 = 1 << 12;
/** Selectors of the boot GDT. */
const CODE = 0x10;
const DATA = 0x18;

/** Bytes of the boot GDT. */
export const BOOT_GDT_SIZE = 32;
/** Bytes of the page tables of `levels` levels that map `gib` GiB. */
export const pageTableBytes = (gib: number, levels: 4 | 5 = 4): number => (levels - 2 + gib) * 4096;

export interface LongModeTables {
  /** Where the GDT goes. */
  readonly gdt: number;
  /** Where the page tables go, 4096-aligned, {@link pageTableBytes} long. */
  readonly pageTables: number;
  /** GiB that are identity-mapped by 2 MiB pages, 1 to 512. */
  readonly gib: number;
  /** Default 4. */
  readonly levels?: 4 | 5;
}

/** Leaves `vcpu` in 64-bit mode at `entry`: identity-mapped, flat segments, interrupts off. */
export function enterLongMode(mmu: Mmu, vcpu: Vcpu, entry: number, long: LongModeTables): void {
  const { gdt, pageTables, gib, levels = 4 } = long;
  const tables = new Uint8Array(pageTableBytes(gib, levels));
  const view = new DataView(tables.buffer);
  const page = (k: number): number => pageTables + 4096 * k;
  // Above the page directories every table has the next one as its first entry; the last has them all.
  const directories = levels - 2;
  for (let k = 0; k < directories - 1; k++) view.setUint32(4096 * k, page(k + 1) | PRESENT_WRITABLE, true);
  for (let k = 0; k < gib; k++) {
    view.setUint32(4096 * (directories - 1) + 8 * k, page(directories + k) | PRESENT_WRITABLE, true);
  }
  for (let k = 0; k < gib * 512; k++) {
    const frame = k * 2 ** 21;
    view.setUint32(directories * 4096 + 8 * k, ((frame >>> 0) | LARGE | PRESENT_WRITABLE) >>> 0, true);
    view.setUint32(directories * 4096 + 8 * k + 4, Math.floor(frame / 2 ** 32), true);
  }
  mmu.write(pageTables, tables);
  vcpu.cr0 = 0x80000031 | 0;
  vcpu.cr4 = levels === 5 ? CR4_PAE | CR4_LA57 : CR4_PAE;
  vcpu.efer = 0x500;
  vcpu.paging.cr3Lo = pageTables;
  flatSegments(mmu, vcpu, gdt, 0x00af9b00, 0xa09b);
  vcpu.setRip(entry, 0);
}

/** Leaves `vcpu` in 32-bit protected mode at `entry`: paging off, flat segments, interrupts off, a task register with a limit. */
export function enterProtectedMode(mmu: Mmu, vcpu: Vcpu, entry: number, gdt: number): void {
  vcpu.cr0 = 0x11;
  flatSegments(mmu, vcpu, gdt, 0x00cf9b00, 0xc09b);
  vcpu.tr = { selector: 0, baseLo: 0, baseHi: 0, limit: 0x67, attributes: 0x8b };
  vcpu.setRip(entry, 0);
}

/** Loads a GDT with a code segment, by its descriptor's high half and its attributes, and a 4 GiB data segment. */
function flatSegments(mmu: Mmu, vcpu: Vcpu, gdt: number, code: number, attributes: number): void {
  const descriptors = new DataView(new ArrayBuffer(BOOT_GDT_SIZE));
  descriptors.setUint32(CODE, 0x0000ffff, true);
  descriptors.setUint32(CODE + 4, code, true);
  descriptors.setUint32(DATA, 0x0000ffff, true);
  descriptors.setUint32(DATA + 4, 0x00cf9300, true);
  mmu.write(gdt, new Uint8Array(descriptors.buffer));
  Object.assign(vcpu.gdtr, { baseLo: gdt, baseHi: 0, limit: BOOT_GDT_SIZE - 1 });
  vcpu.idtr.limit = 0;
  const flat = { baseLo: 0, baseHi: 0, limit: 0xffffffff };
  for (const seg of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS])
    vcpu.setSegment(seg, { selector: DATA, ...flat, attributes: 0xc093 });
  vcpu.setSegment(Seg.CS, { selector: CODE, ...flat, attributes });
  vcpu.updatePaging();
  vcpu.updateMode();
}
