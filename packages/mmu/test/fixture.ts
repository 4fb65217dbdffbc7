import { Access, Mmu, type PagingControls } from "../src/index.js";

export const PAGE = 4096;
/** CR0.PG | CR0.WP | CR0.PE. */
export const CR0_PAGING = 0x80010001;
export const CR0_NO_WP = 0x80000001;
export const PSE = 1 << 4;
export const PAE = 1 << 5;
export const PGE = 1 << 7;
export const SMEP = 1 << 20;
export const SMAP = 1 << 21;
export const LA57 = 1 << 12;
export const PKE = 1 << 22;
export const LMA = 1 << 10;
export const NXE = 1 << 11;

export const P = 1n;
export const RW = 2n;
export const US = 4n;
export const A = 0x20n;
export const D = 0x40n;
export const PS = 0x80n;
export const G = 0x100n;
export const XD = 1n << 63n;

/** Error code bits. */
export const PF = { P: 1, W: 2, U: 4, RSVD: 8, I: 16 } as const;

/** All privileges a request can have, by the name the SDM gives them. */
export const PRIVILEGES = {
  user: Access.User,
  "explicit supervisor": 0,
  "explicit supervisor with AC": Access.Ac,
  "implicit supervisor": Access.Implicit,
} as const;

/** Memories by size, to be used again: each reserves gigabytes of address space until it is collected. */
const pool = new Map<number, WebAssembly.Memory>();

/** A zeroed memory of at least `pages` 4 KiB pages. The one given before for the same size and `owner` must be out of use. */
export function newMemory(pages: number, owner = 0): WebAssembly.Memory {
  const wasmPages = Math.ceil(pages / 16);
  const key = owner * 65536 + wasmPages;
  const memory = pool.get(key) ?? new WebAssembly.Memory({ initial: wasmPages, maximum: wasmPages });
  new Uint8Array(memory.buffer).fill(0);
  pool.set(key, memory);
  return memory;
}

export interface FixtureOptions {
  /** Frames in the arena; by default as many as the memslot has. */
  arenaPages?: number;
  maxPhyAddr?: number;
  /** Tells Mmus apart that live at the same time. */
  owner?: number;
}

/** An Mmu over a small memory. It replaces the one made before with the same `owner` and size. @param pages of the one memslot at 0 (none if 0) */
export function newMmu(pages: number, { arenaPages = pages, maxPhyAddr = 40, owner = 0 }: FixtureOptions = {}): Mmu {
  const memory = newMemory(arenaPages + 1, owner);
  const mmu = new Mmu({ memory, arenaStart: PAGE, arenaEnd: (arenaPages + 1) * PAGE, maxPhyAddr });
  if (pages > 0) mmu.setMemslot({ slot: 0, gpa: 0, size: pages * PAGE });
  return mmu;
}

export function write64(mmu: Mmu, gpa: number, value: bigint): void {
  const stored =
    mmu.writeU32(gpa, Number(value & 0xffffffffn)) && mmu.writeU32(gpa + 4, Number((value >> 32n) & 0xffffffffn));
  if (!stored) throw new Error(`nothing at ${gpa}`);
}

export function read64(mmu: Mmu, gpa: number): bigint {
  return BigInt(mmu.readU32(gpa)) | (BigInt(mmu.readU32(gpa + 4)) << 32n);
}

/** 4-level paging with NXE, root at gpa 0x1000. */
export function longMode(over: Partial<PagingControls> = {}): PagingControls {
  return { cr0: CR0_PAGING, cr3Lo: 0x1000, cr3Hi: 0, cr4: PAE | PGE, efer: LMA | NXE | 0x100, pkru: 0, ...over };
}

/** The tables that {@link map4} uses: PML4, PDPT, PD and PT at gfn 1, 2, 3 and 4. Entries as gpa, from the top. */
export function entriesOf(linear: bigint): [number, number, number, number] {
  const at = (table: number, shift: bigint): number => table * PAGE + Number((linear >> shift) & 0x1ffn) * 8;
  return [at(1, 39n), at(2, 30n), at(3, 21n), at(4, 12n)];
}

/** Maps `linear` in {@link longMode} through tables at gfn 1..4; `leaf` is the entry at `level` (1 = PTE, 2 = PDE, 3 = PDPTE), upper entries are P RW US. */
export function map4(mmu: Mmu, linear: bigint, leaf: bigint, level: 1 | 2 | 3 = 1): void {
  const entries = entriesOf(linear);
  for (const [i, gpa] of entries.entries()) {
    const here = 4 - i;
    if (here === level) write64(mmu, gpa, leaf);
    else if (here > level) write64(mmu, gpa, BigInt((i + 2) * PAGE) | P | RW | US);
  }
}

/** Translates a BigInt linear address. */
export function translate(mmu: Mmu, controls: PagingControls, linear: bigint, access: number): number {
  return mmu.translate(controls, Number(linear & 0xffffffffn), Number((linear >> 32n) & 0xffffffffn), access);
}
