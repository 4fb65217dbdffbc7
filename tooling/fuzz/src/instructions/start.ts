import { Seg, type SegmentCache, type Vcpu } from "@vm/cpu";
import type { Random } from "../random.js";
import * as L from "./layout.js";
import { Selector } from "./tables.js";

/** How a vCPU begins. */
export interface Mode {
  readonly kind: "real" | "protected" | "compatibility" | "64-bit";
  /** Code size. */
  readonly bits: 16 | 32 | 64;
  readonly cpl: 0 | 3;
  readonly paging: "none" | "32-bit" | "PAE" | "4-level";
  /** EFER.LMA. */
  readonly long: boolean;
  /** The task-state segment has a 32-bit or 64-bit format. */
  readonly wideTss: boolean;
}

export function chooseMode(random: Random): Mode {
  const kind = random.pick(["real", "protected", "protected", "compatibility", "64-bit", "64-bit", "64-bit"] as const);
  if (kind === "real") return { kind, bits: 16, cpl: 0, paging: "none", long: false, wideTss: false };
  const cpl = random.pick([0, 3] as const);
  if (kind === "protected") {
    const paging = random.pick(["none", "32-bit", "PAE"] as const);
    return { kind, bits: random.pick([16, 32, 32]), cpl, paging, long: false, wideTss: random.chance(80) };
  }
  const bits = kind === "64-bit" ? 64 : random.pick([16, 32] as const);
  return { kind, bits, cpl, paging: "4-level", long: true, wideTss: true };
}

const CR0_REAL = 0x10;
const CR0_PROTECTED = 0x33;
/** Bits of CR0 that come at random: MP EM TS NE WP AM. */
const CR0_ANY = 0x0005002e & ~0x0c;
const CR4_PAE = 0x20;
/** Bits of CR4 that come at random: VME PVI TSD DE PSE MCE PGE PCE OSFXSR OSXMMEXCPT UMIP FSGSBASE SMEP SMAP. */
const CR4_ANY = 0x00310fdf;
const EFER = { SCE: 1, LME: 0x100, LMA: 0x400, NXE: 0x800 };

/** Attribute bits of a flat segment. */
const CODE_ATTRIBUTES = 0x809b;
const DATA_ATTRIBUTES = 0x8093;
const BIG = 0x4000;
const LONG = 0x2000;

/** Puts the vCPU into a consistent state of `mode`; registers mostly point to memory. */
export function startIn(vcpu: Vcpu, mode: Mode, random: Random): void {
  const real = mode.kind === "real";
  const anyCr4 = random.word() & CR4_ANY & (real ? ~0x300000 : -1);
  vcpu.cr0 = (real ? CR0_REAL : CR0_PROTECTED) | (random.word() & CR0_ANY) | (mode.paging === "none" ? 0 : 1 << 31);
  vcpu.cr4 =
    (random.chance(90) ? 0x600 : 0) |
    (random.chance(50) ? 0 : anyCr4) |
    (mode.paging === "PAE" || mode.long ? CR4_PAE : 0) |
    (mode.paging === "32-bit" ? 0x10 : 0);
  vcpu.efer = (random.chance(90) ? EFER.SCE | EFER.NXE : 0) | (mode.long ? EFER.LME | EFER.LMA : 0);
  vcpu.paging.cr3Lo = L.PAGE_TABLES;
  Object.assign(vcpu.gdtr, { baseLo: L.GDT, baseHi: 0, limit: 8 * L.GDT_ENTRIES - 1 });
  Object.assign(vcpu.idtr, { baseLo: real ? 0 : L.IDT, baseHi: 0, limit: real ? 0x3ff : mode.long ? 0xfff : 0x7ff });
  vcpu.tr = {
    selector: Selector.Tss,
    baseLo: L.TSS,
    baseHi: 0,
    limit: L.TSS_LIMIT,
    attributes: mode.wideTss ? 0x8b : 0x83,
  };
  vcpu.ldtr = { selector: Selector.Ldt, baseLo: L.LDT, baseHi: 0, limit: 8 * L.LDT_ENTRIES - 1, attributes: 0x82 };
  const msr = (number: number, lo: number, hi: number): void => void vcpu.msrs.set(number, [lo, hi]);
  // STAR, LSTAR, CSTAR, SFMASK, SYSENTER_CS, ESP, EIP.
  msr(0xc0000081, 0, (Selector.UserData << 16) | Selector.Code64);
  msr(0xc0000082, L.HANDLERS + 32 * random.below(64), 0);
  msr(0xc0000083, L.HANDLERS + 32 * random.below(64), 0);
  msr(0xc0000084, random.word() & 0x47700, 0);
  msr(0x174, random.chance(90) ? Selector.Code64 : 0, 0);
  msr(0x175, L.STACKS + 0x1000, 0);
  msr(0x176, L.HANDLERS, 0);
  vcpu.rflags = 2 | (random.word() & 0x8d5) | (random.chance(60) ? 0x200 : 0) | rareFlags(random, real);
  setSegments(vcpu, mode, random);
  vcpu.updateMode();
  vcpu.updatePaging();
  for (let r = 0; r < 16; r++) vcpu.setReg(r, ...registerValue(random));
  vcpu.setReg(4, L.STACKS + 0x1000 + 16 * random.below(0x600), 0);
  vcpu.setRip(L.codeOffset(mode) + random.below(64), 0);
}

/** TF, DF, IOPL, NT, AC, now and then. */
function rareFlags(random: Random, real: boolean): number {
  return (
    (random.chance(8) ? 0x100 : 0) |
    (random.chance(10) ? 0x400 : 0) |
    (random.chance(30) ? random.below(4) << 12 : 0) |
    (random.chance(3) && !real ? 0x4000 : 0) |
    (random.chance(10) ? 0x40000 : 0)
  );
}

function setSegments(vcpu: Vcpu, mode: Mode, random: Random): void {
  const flat = { baseLo: 0, baseHi: 0, limit: 0xffffffff };
  const all = [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS];
  if (mode.kind === "real") {
    const at = (base: number): SegmentCache => ({
      selector: base >> 4,
      baseLo: base,
      baseHi: 0,
      limit: 0xffff,
      attributes: 0x93,
    });
    for (const seg of all) vcpu.setSegment(seg, at(seg === Seg.SS ? 0 : random.below(L.RAM / 0x10000) << 16));
    vcpu.setSegment(Seg.CS, { ...at(L.CODE), attributes: 0x9b });
    return;
  }
  const level = mode.cpl << 5;
  const big = mode.bits === 16 && random.chance(50) ? 0 : BIG;
  const data = { ...flat, selector: mode.cpl === 0 ? Selector.Data : Selector.UserData };
  for (const seg of all) vcpu.setSegment(seg, { ...data, attributes: DATA_ATTRIBUTES | BIG | level });
  vcpu.setSegment(Seg.SS, { ...data, attributes: DATA_ATTRIBUTES | big | level });
  if (random.chance(30)) {
    const seg = random.pick([Seg.DS, Seg.ES, Seg.FS, Seg.GS]);
    const limit = random.chance(50) ? random.below(L.RAM) : 0xffffffff;
    const baseLo = random.chance(50) ? random.below(L.RAM) : random.word() | 0;
    vcpu.setSegment(seg, {
      ...data,
      baseLo,
      limit,
      attributes: DATA_ATTRIBUTES | BIG | level | (random.below(4) << 1),
    });
  }
  const selector = {
    64: mode.cpl === 0 ? Selector.Code64 : Selector.UserCode64,
    32: mode.cpl === 0 ? Selector.Code32 : Selector.UserCode32,
    16: Selector.Code16 | mode.cpl,
  }[mode.bits];
  const size = mode.bits === 64 ? LONG : mode.bits === 32 ? BIG : 0;
  vcpu.setSegment(Seg.CS, { ...flat, selector, attributes: CODE_ATTRIBUTES | size | level });
}

const SPECIAL = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/** Halves: an address in memory, a special value or anything. */
export function registerValue(random: Random): [number, number] {
  const choice = random.below(10);
  if (choice < 6) return [L.DATA + random.below(L.RAM - L.DATA), 0];
  if (choice === 6)
    return [random.pick([L.CODE, L.GDT, L.IDT, L.TSS, L.PAGE_TABLES, L.UPPER_RAM, L.READ_ONLY, 0xf0000]), 0];
  if (choice === 7) return [random.pick(SPECIAL) | 0, random.chance(30) ? -1 : 0];
  if (choice === 8) return [0x80000000 | random.below(0x200000) | 0, -1];
  return [random.word() | 0, random.word() | 0];
}
