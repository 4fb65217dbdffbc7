import type { Random } from "../random.js";
import * as L from "./layout.js";
import type { Mode } from "./start.js";
import type { WriteQword } from "./tables.js";

const P = 1;
const RW = 2;
const US = 4;
const PS = 0x80;
const PAGES_PER_TABLE = 512;
/** Bit 63 of an entry, in its high half. */
const XD = 1 << 31;

/** Page tables for the first megabytes: the identity, with rights and mistakes at random. CR3 is `L.PAGE_TABLES`. */
export function writePageTables(random: Random, mode: Mode, write: WriteQword): void {
  const wild = random.chance(30) ? 12 : 2;
  if (mode.paging === "none") return;
  if (mode.paging === "32-bit") writeTwoLevels(random, wild, write);
  else writeWide(random, wild, mode.paging === "4-level", write);
}

/** The low bits of an entry: mostly everything allowed. */
function rights(random: Random, wild: number): number {
  const bad = (): boolean => random.chance(wild);
  return (bad() ? 0 : P) | (bad() ? 0 : RW) | (random.chance(2 * wild) ? 0 : US) | ((random.below(16) << 5) & 0x160);
}

/** A guest frame: mostly the page's own, else another of RAM, of a page table, of nothing. */
function frame(random: Random, page: number, wild: number): number {
  if (!random.chance(wild)) return page;
  return random.pick([
    random.below(L.RAM / 4096),
    L.PAGE_TABLES / 4096 + random.below(6),
    L.UPPER_RAM / 4096 + random.below(L.UPPER_BYTES / 4096),
    L.READ_ONLY / 4096 + random.below(L.READ_ONLY_BYTES / 4096),
    L.HIGH_RAM / 4096 + random.below(L.HIGH_BYTES / 4096),
    random.below(0x200),
    random.word(),
  ]);
}

function writeWide(random: Random, wild: number, fourLevels: boolean, write: WriteQword): void {
  const entry = (table: number, index: number, gfn: number, low: number, high = 0): void =>
    write(table + 8 * index, (gfn << 12) | low | 0, (Math.floor(gfn / 0x100000) & 0xfffff) | high);
  const garbage = (table: number, index: number): void => write(table + 8 * index, random.word(), random.word());
  const [pml4, pdpt, pd, pt0, pt1] = [0, 1, 2, 3, 4].map((k) => L.PAGE_TABLES + k * 0x1000) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const all = P | RW | US;
  if (fourLevels) {
    entry(pml4, 0, pdpt >>> 12, all);
    entry(pml4, 511, pdpt >>> 12, rights(random, wild));
    entry(pml4, 256, pml4 >>> 12, all);
    if (random.chance(wild)) garbage(pml4, random.below(PAGES_PER_TABLE));
    entry(pdpt, 0, pd >>> 12, all);
    entry(pdpt, 510, pd >>> 12, all);
    entry(pdpt, 1, 0, rights(random, wild) | PS);
  } else {
    // CR3 points to the four PDPTEs, in which only P and the address count.
    for (let k = 0; k < 4; k++) entry(pml4, k, pd >>> 12, P);
    if (random.chance(wild)) garbage(pml4, random.below(4));
  }
  entry(pd, 0, pt0 >>> 12, all);
  entry(pd, 1, pt1 >>> 12, rights(random, wild));
  entry(pd, 2, 0, rights(random, wild) | PS);
  entry(pd, 3, pt0 >>> 12, rights(random, wild), random.chance(10) ? XD : 0);
  for (let k = 4; k < 16; k++) if (random.chance(50)) garbage(pd, k);
  for (const [table, first] of [
    [pt0, 0],
    [pt1, 512],
  ] as const) {
    for (let k = 0; k < PAGES_PER_TABLE; k++) {
      if (random.chance(wild / 4)) garbage(table, k);
      else if (first === 0 && k < 0x18) entry(table, k, k, random.chance(95) ? all : rights(random, wild));
      else entry(table, k, frame(random, first + k, wild), rights(random, wild), random.chance(wild) ? XD : 0);
    }
  }
}

/** Entries of 4 bytes; a directory, two tables, some large pages. */
function writeTwoLevels(random: Random, wild: number, write: WriteQword): void {
  const [directory, table0, table1] = [L.PAGE_TABLES, L.PAGE_TABLES + 0x1000, L.PAGE_TABLES + 0x2000];
  const all = P | RW | US;
  const pair = (table: number, index: number, low: number, high: number): void => write(table + 4 * index, low, high);
  pair(directory, 0, table0 | all, table1 | rights(random, wild));
  pair(directory, 2, rights(random, wild) | PS, table0 | all);
  for (let k = 4; k < 16; k += 2) pair(directory, k, random.chance(50) ? 0 : random.word(), 0);
  for (let k = 0; k < 1024; k += 2) {
    const entry = (page: number): number =>
      page < 0x18 ? (page << 12) | all : (frame(random, page, wild) << 12) | rights(random, wild);
    pair(table0, k, entry(k), entry(k + 1));
    pair(table1, k, entry(1024 + k), random.chance(wild) ? random.word() : entry(1025 + k));
  }
}
