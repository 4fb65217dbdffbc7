import { Access, Licence, type PagingControls } from "./access.js";
import { Cr4, Efer, Pf, Pte } from "./bits.js";
import { allowedBy, deniedByKey } from "./permissions.js";
import type { SecondLevel } from "./second-level.js";

enum Hi {
  /** Frames per unit of the high half of an entry: bit 32 of an address is bit 20 of its frame number. */
  Frames = 0x100000,
}

/** Address bits of a leaf entry's low half that must be zero, and where PS is not allowed. */
enum Reserved {
  /** 29:13 of a 1 GiB leaf; bit 12 is PAT. SDM table 4-16. */
  Leaf1G = 0x3fffe000,
  /** 20:13 of a 2 MiB leaf. SDM tables 4-10, 4-18. */
  Leaf2M = 0x001fe000,
  /** PS of a PML5E or PML4E. SDM table 4-15. */
  Pml4e = 0x80,
  /** 2:1 and 8:5 of a legacy-PAE PDPTE. SDM table 4-8. */
  Pdpte = 0x000001e6,
}

/**
 * The guest page walk: 5- and 4-level, legacy PAE and 32-bit paging. SDM 3A 4.3-4.5.
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
  /** After an allowed walk: the leaf maps more than 4 KiB. */
  large = false;
  /** After a refused walk: the #PF error code. */
  errorCode = 0;

  readonly #u32: Uint32Array;
  readonly #second: Pick<SecondLevel, "table" | "mayMark">;
  /** Address bits of the high half of an entry: MAXPHYADDR-1:32. */
  readonly #addressHi: number;
  /** Reserved bits of the high half: 51:MAXPHYADDR in 4-level paging, 62:MAXPHYADDR in legacy PAE. */
  readonly #reservedLong: number;
  readonly #reservedPae: number;
  /** Reserved low bits of a 4 MiB leaf: bit 21 and the part of PSE-36's 20:13 beyond MAXPHYADDR. SDM table 4-4. */
  readonly #reserved4M: number;

  /** @param maxPhyAddr CPUID.80000008H:EAX[7:0], 32..52 */
  constructor(u32: Uint32Array, second: Pick<SecondLevel, "table" | "mayMark">, maxPhyAddr: number) {
    this.#u32 = u32;
    this.#second = second;
    this.#addressHi = (2 ** (maxPhyAddr - 32) - 1) | 0;
    this.#reservedLong = 0x000fffff & ~this.#addressHi;
    this.#reservedPae = 0x7fffffff & ~this.#addressHi;
    const pse36 = 2 ** Math.min(maxPhyAddr - 32, 8) - 1;
    this.#reserved4M = 0x003fe000 & ~(pse36 << 13);
  }

  /** Walks with CR0.PG = 1. `lo`/`hi` are the halves of a canonical linear address. Returns whether the access is allowed. */
  walk(controls: PagingControls, lo: number, hi: number, access: number): boolean {
    if ((controls.efer & Efer.Lma) !== 0) {
      const root = (controls.cr3Hi & this.#addressHi) * Hi.Frames + (controls.cr3Lo >>> 12);
      const top = (controls.cr4 & Cr4.La57) !== 0 ? 5 : 4;
      return this.#walk64(controls, lo, hi, access, root, top, this.#reservedLong);
    }
    return (controls.cr4 & Cr4.Pae) !== 0 ? this.#walkPae(controls, lo, access) : this.#walk32(controls, lo, access);
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
    const addressHi = this.#addressHi;
    const reservedHi = (controls.efer & Efer.Nxe) !== 0 ? reserved : reserved | Pte.XdHi;
    let gfn = root;
    let rights = Pte.Rw | Pte.Us;
    let xd = 0;
    for (let level = top; ; level--) {
      const pfn = second.table(gfn);
      const at = (pfn << 10) | (indexAt(level, lo, hi) << 1);
      let pteLo = pfn;
      let pteHi = pfn;
      if (pfn > 0) {
        pteLo = (u32[at] as number) | 0;
        pteHi = (u32[at + 1] as number) | 0;
      }
      const target = (pteHi & addressHi) * Hi.Frames + (pteLo >>> 12);
      // Nearly always a table that was used before: nothing to judge or to mark.
      if (level === 1 || (pteLo & (Pte.P | Pte.A | Pte.Ps)) !== (Pte.P | Pte.A) || (pteHi & reservedHi) !== 0) {
        if ((pteLo & Pte.P) === 0) return this.#refuse(controls, access, 0);
        const large = level > 1 && (pteLo & Pte.Ps) !== 0;
        const reservedLo = large ? (level === 2 ? Reserved.Leaf2M : level === 3 ? Reserved.Leaf1G : Reserved.Pml4e) : 0;
        if (((pteHi & reservedHi) | (pteLo & reservedLo)) !== 0) return this.#refuse(controls, access, Pf.P | Pf.Rsvd);
        if (large || level === 1) {
          const inside = level === 1 ? 0 : level === 2 ? 0x1ff : 0x3ffff;
          this.gfn = target - ((pteLo >>> 12) & inside) + ((lo >>> 12) & inside);
          this.large = large;
          return this.#leaf(controls, access, rights & pteLo, (xd | pteHi) < 0, gfn, at, pteLo, (pteHi >>> 27) & 15);
        }
        if (second.mayMark(gfn)) u32[at] = pteLo | Pte.A;
      }
      rights &= pteLo;
      xd |= pteHi;
      gfn = target;
    }
  }

  /** Legacy PAE: four PDPTEs without rights or A, then two levels. CR3 holds bits 31:5 of their address. */
  #walkPae(controls: PagingControls, lo: number, access: number): boolean {
    const pfn = this.#second.table(controls.cr3Lo >>> 12);
    const at = (pfn << 10) | ((controls.cr3Lo & 0xfe0) >>> 2) | ((lo >>> 30) << 1);
    const pdpteLo = pfn > 0 ? (this.#u32[at] as number) | 0 : pfn;
    const pdpteHi = pfn > 0 ? (this.#u32[at + 1] as number) | 0 : pfn;
    if ((pdpteLo & Pte.P) === 0) return this.#refuse(controls, access, 0);
    if (((pdpteHi & ~this.#addressHi) | (pdpteLo & Reserved.Pdpte)) !== 0)
      return this.#refuse(controls, access, Pf.P | Pf.Rsvd);
    const directory = (pdpteHi & this.#addressHi) * Hi.Frames + (pdpteLo >>> 12);
    return this.#walk64(controls, lo, 0, access, directory, 2, this.#reservedPae);
  }

  /** 32-bit paging: 4-byte entries, two levels, 4 MiB leaves with CR4.PSE (and their PSE-36 high address bits). */
  #walk32(controls: PagingControls, lo: number, access: number): boolean {
    const u32 = this.#u32;
    const directory = controls.cr3Lo >>> 12;
    const directoryPfn = this.#second.table(directory);
    const pdeAt = (directoryPfn << 10) | (lo >>> 22);
    const pde = directoryPfn > 0 ? (u32[pdeAt] as number) | 0 : directoryPfn;
    if ((pde & Pte.P) === 0) return this.#refuse(controls, access, 0);
    const rights = pde & (Pte.Rw | Pte.Us);
    if ((pde & Pte.Ps) !== 0 && (controls.cr4 & Cr4.Pse) !== 0) {
      if ((pde & this.#reserved4M) !== 0) return this.#refuse(controls, access, Pf.P | Pf.Rsvd);
      this.gfn = ((pde >>> 13) & 0xff) * Hi.Frames + ((pde >>> 22) << 10) + ((lo >>> 12) & 0x3ff);
      this.large = true;
      return this.#leaf(controls, access, rights, false, directory, pdeAt, pde, 0);
    }
    if ((pde & Pte.A) === 0 && this.#second.mayMark(directory)) u32[pdeAt] = pde | Pte.A;
    const table = pde >>> 12;
    const pfn = this.#second.table(table);
    const at = (pfn << 10) | ((lo >>> 12) & 0x3ff);
    const pte = pfn > 0 ? (u32[at] as number) | 0 : pfn;
    if ((pte & Pte.P) === 0) return this.#refuse(controls, access, 0);
    this.gfn = pte >>> 12;
    this.large = false;
    return this.#leaf(controls, access, rights & pte, false, table, at, pte, 0);
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
    key: number,
  ): boolean {
    let allowed = allowedBy(controls, rights, xd, access);
    const write = (access & Access.Write) !== 0;
    const want = write ? Licence.Write : (access & Access.Fetch) !== 0 ? Licence.Fetch : Licence.Read;
    let cause = Pf.P;
    if ((controls.cr4 & Cr4.Pke) !== 0 && (rights & Pte.Us) !== 0 && (controls.efer & Efer.Lma) !== 0) {
      const denied = deniedByKey(controls, key, access);
      if ((denied & want) !== 0) cause |= Pf.Pk;
      allowed &= ~denied;
    }
    if ((allowed & want) === 0) return this.#refuse(controls, access, cause);
    const marks = write ? Pte.A | Pte.D : Pte.A;
    if ((pteLo & marks) !== marks && this.#second.mayMark(table)) this.#u32[at] = pteLo | marks;
    this.licence = write || (pteLo & Pte.D) !== 0 ? allowed : allowed & ~Licence.Write;
    this.global = (pteLo & Pte.G) !== 0 && (controls.cr4 & Cr4.Pge) !== 0;
    return true;
  }

  /** The #PF error code for an address with a reserved bit. */
  reserved(controls: PagingControls, access: number): number {
    this.#refuse(controls, access, Pf.P | Pf.Rsvd);
    return this.errorCode;
  }

  /** Composes the error code of SDM 3A 4.7 from `cause` (P, RSVD and PK) and the access. */
  #refuse(controls: PagingControls, access: number, cause: number): false {
    let code = cause;
    if ((access & Access.Write) !== 0) code |= Pf.W;
    if ((access & Access.User) !== 0) code |= Pf.U;
    if ((access & Access.Fetch) !== 0) {
      const nx = (controls.cr4 & Cr4.Pae) !== 0 && (controls.efer & Efer.Nxe) !== 0;
      if (nx || (controls.cr4 & Cr4.Smep) !== 0) code |= Pf.I;
    }
    this.errorCode = code;
    return false;
  }
}

/** Index of the entry that translates an address at `level` of 4- or 5-level paging. SDM 3A 4.5.4. */
function indexAt(level: number, lo: number, hi: number): number {
  if (level === 5) return (hi >>> 16) & 0x1ff;
  const pair = level > 2 ? (hi << 2) | (lo >>> 30) : lo >>> 12;
  return ((level & 1) === 0 ? pair >>> 9 : pair) & 0x1ff;
}
