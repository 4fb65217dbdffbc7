import { Access, Licence, type PagingControls } from "./access.js";
import {
  CR4_PAE,
  CR4_PGE,
  CR4_PSE,
  CR4_SMEP,
  EFER_LMA,
  EFER_NXE,
  PF_I,
  PF_P,
  PF_RSVD,
  PF_U,
  PF_W,
  PTE_A,
  PTE_D,
  PTE_G,
  PTE_HI_XD,
  PTE_P,
  PTE_PS,
  PTE_RW,
  PTE_US,
} from "./bits.js";
import { allowedBy } from "./permissions.js";
import type { SecondLevel } from "./second-level.js";

/** Gfns per unit of the high half of an entry: bit 32 of an address is bit 20 of its frame number. */
const GFNS_PER_HI = 2 ** 20;
/** Address bits below the frame number that must be zero in the low half of a 1 GiB leaf (bit 12 is PAT). SDM table 4-16. */
const RESERVED_1G = 0x3fffe000;
/** The same for a 2 MiB leaf. SDM tables 4-10, 4-18. */
const RESERVED_2M = 0x001fe000;
/** Reserved low bits of a legacy-PAE PDPTE: 2:1 and 8:5. SDM table 4-8. */
const RESERVED_PDPTE = 0x000001e6;

/**
 * The guest page walk: 4-level, legacy PAE and 32-bit paging. SDM 3A 4.3-4.5.
 *
 * Order of events, as processors do it: an entry is read; not present or a reserved bit ends the walk with a fault; A is set in it at once if it
 * refers to another table, so a fault further down leaves A set above. Rights are judged at the leaf, and only an allowed access sets A and D there.
 *
 * Where no memory backs a page table, entries read as all ones, so the reserved bits decide. Legacy-PAE PDPTEs are read on every walk instead of
 * being latched by MOV to CR3; the #GP for their reserved bits on that instruction is the CPU's, here they fault with RSVD.
 */
export class PageWalker {
  /** After an allowed walk: guest frame number of the 4 KiB page. */
  gfn = 0;
  /** After an allowed walk: {@link Licence} bits by the guest's page tables; Write only if the leaf's D is set. */
  licence = 0;
  /** After an allowed walk: leaf G with CR4.PGE. */
  global = false;
  /** After a refused walk: the #PF error code. */
  errorCode = 0;

  readonly #u32: Uint32Array;
  readonly #second: SecondLevel;
  /** Address bits of the high half of an entry: MAXPHYADDR-1:32. */
  readonly #addressHi: number;
  /** Reserved bits of the high half: 51:MAXPHYADDR in 4-level paging, 62:MAXPHYADDR in legacy PAE. */
  readonly #reservedLong: number;
  readonly #reservedPae: number;
  /** Reserved low bits of a 4 MiB leaf: bit 21 and the part of PSE-36's 20:13 beyond MAXPHYADDR. SDM table 4-4. */
  readonly #reserved4M: number;

  /** @param maxPhyAddr CPUID.80000008H:EAX[7:0], 32..52 */
  constructor(u32: Uint32Array, second: SecondLevel, maxPhyAddr: number) {
    this.#u32 = u32;
    this.#second = second;
    this.#addressHi = 2 ** (maxPhyAddr - 32) - 1;
    this.#reservedLong = 0x000fffff & ~this.#addressHi;
    this.#reservedPae = 0x7fffffff & ~this.#addressHi;
    const pse36 = 2 ** Math.min(maxPhyAddr - 32, 8) - 1;
    this.#reserved4M = 0x003fe000 & ~(pse36 << 13);
  }

  /** Walks with CR0.PG = 1. `lo`/`hi` are the halves of a canonical linear address. Returns whether the access is allowed. */
  walk(controls: PagingControls, lo: number, hi: number, access: number): boolean {
    if ((controls.efer & EFER_LMA) !== 0) {
      const root = (controls.cr3Hi & this.#addressHi) * GFNS_PER_HI + (controls.cr3Lo >>> 12);
      return this.#walk64(controls, lo, hi, access, root, 4, this.#reservedLong);
    }
    return (controls.cr4 & CR4_PAE) !== 0 ? this.#walkPae(controls, lo, access) : this.#walk32(controls, lo, access);
  }

  /** Levels with 8-byte entries, from `level` down. */
  #walk64(
    controls: PagingControls,
    lo: number,
    hi: number,
    access: number,
    root: number,
    top: number,
    reserved: number,
  ): boolean {
    const u32 = this.#u32;
    const second = this.#second;
    const reservedHi = (controls.efer & EFER_NXE) !== 0 ? reserved : reserved | PTE_HI_XD;
    let gfn = root;
    let rights = PTE_RW | PTE_US;
    let xd = 0;
    for (let level = top; ; level--) {
      const pfn = second.table(gfn);
      const at = (pfn << 10) | (indexAt(level, lo, hi) << 1);
      const pteLo = pfn > 0 ? (u32[at] as number) | 0 : pfn;
      const pteHi = pfn > 0 ? (u32[at + 1] as number) | 0 : pfn;
      if ((pteLo & PTE_P) === 0) return this.#refuse(controls, access, 0);
      const large = level > 1 && (pteLo & PTE_PS) !== 0;
      const reservedLo = large ? (level === 2 ? RESERVED_2M : level === 3 ? RESERVED_1G : PTE_PS) : 0;
      if (((pteHi & reservedHi) | (pteLo & reservedLo)) !== 0) return this.#refuse(controls, access, PF_P | PF_RSVD);
      rights &= pteLo;
      xd |= pteHi;
      const target = (pteHi & this.#addressHi) * GFNS_PER_HI + (pteLo >>> 12);
      if (large || level === 1) {
        const inside = level === 1 ? 0 : level === 2 ? 0x1ff : 0x3ffff;
        this.gfn = target - ((pteLo >>> 12) & inside) + ((lo >>> 12) & inside);
        return this.#leaf(controls, access, rights, xd < 0, gfn, at, pteLo);
      }
      if ((pteLo & PTE_A) === 0 && second.mayMark(gfn)) u32[at] = pteLo | PTE_A;
      gfn = target;
    }
  }

  /** Legacy PAE: four PDPTEs without rights or A, then two levels. CR3 holds bits 31:5 of their address. */
  #walkPae(controls: PagingControls, lo: number, access: number): boolean {
    const pfn = this.#second.table(controls.cr3Lo >>> 12);
    const at = (pfn << 10) | ((controls.cr3Lo & 0xfe0) >>> 2) | ((lo >>> 30) << 1);
    const pdpteLo = pfn > 0 ? (this.#u32[at] as number) | 0 : pfn;
    const pdpteHi = pfn > 0 ? (this.#u32[at + 1] as number) | 0 : pfn;
    if ((pdpteLo & PTE_P) === 0) return this.#refuse(controls, access, 0);
    if (((pdpteHi & ~this.#addressHi) | (pdpteLo & RESERVED_PDPTE)) !== 0)
      return this.#refuse(controls, access, PF_P | PF_RSVD);
    const directory = (pdpteHi & this.#addressHi) * GFNS_PER_HI + (pdpteLo >>> 12);
    return this.#walk64(controls, lo, 0, access, directory, 2, this.#reservedPae);
  }

  /** 32-bit paging: 4-byte entries, two levels, 4 MiB leaves with CR4.PSE (and their PSE-36 high address bits). */
  #walk32(controls: PagingControls, lo: number, access: number): boolean {
    const u32 = this.#u32;
    const directory = controls.cr3Lo >>> 12;
    const directoryPfn = this.#second.table(directory);
    const pdeAt = (directoryPfn << 10) | (lo >>> 22);
    const pde = directoryPfn > 0 ? (u32[pdeAt] as number) | 0 : directoryPfn;
    if ((pde & PTE_P) === 0) return this.#refuse(controls, access, 0);
    const rights = pde & (PTE_RW | PTE_US);
    if ((pde & PTE_PS) !== 0 && (controls.cr4 & CR4_PSE) !== 0) {
      if ((pde & this.#reserved4M) !== 0) return this.#refuse(controls, access, PF_P | PF_RSVD);
      this.gfn = ((pde >>> 13) & 0xff) * GFNS_PER_HI + ((pde >>> 22) << 10) + ((lo >>> 12) & 0x3ff);
      return this.#leaf(controls, access, rights, false, directory, pdeAt, pde);
    }
    if ((pde & PTE_A) === 0 && this.#second.mayMark(directory)) u32[pdeAt] = pde | PTE_A;
    const table = pde >>> 12;
    const pfn = this.#second.table(table);
    const at = (pfn << 10) | ((lo >>> 12) & 0x3ff);
    const pte = pfn > 0 ? (u32[at] as number) | 0 : pfn;
    if ((pte & PTE_P) === 0) return this.#refuse(controls, access, 0);
    this.gfn = pte >>> 12;
    return this.#leaf(controls, access, rights & pte, false, table, at, pte);
  }

  /** Judges the access and sets A and D in the leaf at word `at` of the memory, in guest frame `table`. */
  #leaf(
    controls: PagingControls,
    access: number,
    rights: number,
    xd: boolean,
    table: number,
    at: number,
    pteLo: number,
  ): boolean {
    const allowed = allowedBy(controls, rights, xd, access);
    const write = (access & Access.Write) !== 0;
    const want = write ? Licence.Write : (access & Access.Fetch) !== 0 ? Licence.Fetch : Licence.Read;
    if ((allowed & want) === 0) return this.#refuse(controls, access, PF_P);
    const marks = write ? PTE_A | PTE_D : PTE_A;
    if ((pteLo & marks) !== marks && this.#second.mayMark(table)) this.#u32[at] = pteLo | marks;
    this.licence = write || (pteLo & PTE_D) !== 0 ? allowed : allowed & ~Licence.Write;
    this.global = (pteLo & PTE_G) !== 0 && (controls.cr4 & CR4_PGE) !== 0;
    return true;
  }

  /** Composes the error code of SDM 3A 4.7 from `cause` (P and RSVD) and the access. */
  #refuse(controls: PagingControls, access: number, cause: number): false {
    let code = cause;
    if ((access & Access.Write) !== 0) code |= PF_W;
    if ((access & Access.User) !== 0) code |= PF_U;
    if ((access & Access.Fetch) !== 0) {
      const nx = (controls.cr4 & CR4_PAE) !== 0 && (controls.efer & EFER_NXE) !== 0;
      if (nx || (controls.cr4 & CR4_SMEP) !== 0) code |= PF_I;
    }
    this.errorCode = code;
    return false;
  }
}

/** Index of the entry that translates an address at `level` of 4-level paging. SDM 3A 4.5.4. */
function indexAt(level: number, lo: number, hi: number): number {
  if (level === 1) return (lo >>> 12) & 0x1ff;
  if (level === 2) return (lo >>> 21) & 0x1ff;
  if (level === 3) return ((hi << 2) | (lo >>> 30)) & 0x1ff;
  return (hi >>> 7) & 0x1ff;
}
