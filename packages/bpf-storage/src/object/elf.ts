import { ObjectError } from "./errors.js";
import { Reader } from "./reader.js";

/** Types of sections (`SHT_*`). */
export const SectionType = { Null: 0, Progbits: 1, Symtab: 2, Strtab: 3, Rela: 4, Nobits: 8, Rel: 9 } as const;
/** `SHF_EXECINSTR`. */
const EXECUTABLE = 4;
/** Places of symbols that are no sections (`SHN_*`). */
export const SectionIndex = { Undefined: 0, LowReserved: 0xff00 } as const;
/** Types of symbols (`STT_*`). */
export const SymbolType = { None: 0, Object: 1, Func: 2, Section: 3, File: 4 } as const;
/** Bindings of symbols (`STB_*`). */
export const Binding = { Local: 0, Global: 1, Weak: 2 } as const;

const [EM_BPF, ET_REL] = [247, 1];
const [HEADER, SECTION, SYMBOL, REL] = [64, 64, 24, 16];
const MOST_SECTIONS = 0xff00;
const MOST_SYMBOLS = 1 << 18;
/** Relocations of all sections. */
const MOST_RELOCATIONS = 1 << 20;
/** Bytes of an object; the largest selftests have 2 MB. */
const MOST_BYTES = 64 << 20;
/** Zeros that `.bss` may ask for: the memory is made before a verifier sees anything. */
const MOST_ZEROS = 64 << 20;

export interface ElfSection {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  readonly executable: boolean;
  /** Index of the section that belongs to it: strings, symbols; and what relocations apply to. */
  readonly link: number;
  readonly info: number;
  /** Bytes; of NOBITS the object has none. */
  readonly size: number;
  readonly entrySize: number;
  /** Empty for NOBITS. */
  readonly data: Uint8Array;
}

export interface ElfSymbol {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  readonly binding: number;
  /** Hidden or internal: a global function that the verifier checks as a static one. */
  readonly hidden: boolean;
  readonly section: number;
  /** Bytes from the start of the section. */
  readonly value: number;
  readonly size: number;
}

export interface ElfRelocation {
  /** Bytes from the start of the section that it applies to. */
  readonly offset: number;
  readonly type: number;
  readonly symbol: ElfSymbol;
}

export interface Elf {
  /** Of the whole file. */
  readonly bytes: number;
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
  /** Symbols by the index of their section. */
  readonly bySection: ReadonlyMap<number, readonly ElfSymbol[]>;
  /** Relocations by the index of the section they apply to, by rising offset. */
  readonly relocations: ReadonlyMap<number, readonly ElfRelocation[]>;
}

/**
 * Reads a relocatable object of eBPF (gABI, chapters 4 and 5).
 * @throws {ObjectError} format, truncated or limit
 */
export function readElf(bytes: Uint8Array): Elf {
  if (bytes.length > MOST_BYTES) throw new ObjectError("limit", `${bytes.length} bytes: at most ${MOST_BYTES}`);
  const file = new Reader(bytes, "ELF file");
  if (bytes.length < HEADER || file.u32(0) !== 0x464c457f) throw new ObjectError("format", "no ELF file");
  if (file.u8(4) !== 2) throw new ObjectError("format", "a 32-bit ELF file: eBPF has 64 bits");
  if (file.u8(5) !== 1) throw new ObjectError("format", "a big-endian object: compile with -target bpfel");
  const [type, machine] = [file.u16(16), file.u16(18)];
  if (machine !== EM_BPF) throw new ObjectError("format", `an object of machine ${machine}: eBPF is ${EM_BPF}`);
  if (type !== ET_REL) throw new ObjectError("format", `ELF type ${type}: expected a relocatable object, ${ET_REL}`);
  const sections = readSections(file);
  const symbols = readSymbols(sections);
  const bySection = new Map<number, ElfSymbol[]>();
  for (const symbol of symbols) {
    const known = bySection.get(symbol.section);
    if (known === undefined) bySection.set(symbol.section, [symbol]);
    else known.push(symbol);
  }
  return { bytes: bytes.length, sections, symbols, bySection, relocations: readRelocations(sections, symbols) };
}

/** Those from `start` to `end`, of some that are in order of their offsets. */
export function between<T extends { readonly offset: number }>(all: readonly T[], start: number, end: number): T[] {
  return all.slice(firstFrom(all, start), firstFrom(all, end));
}

/** Place of the first that is not before `offset`. */
function firstFrom(all: readonly { readonly offset: number }[], offset: number): number {
  let [low, high] = [0, all.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((all[middle]?.offset ?? 0) < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

function readSections(file: Reader): ElfSection[] {
  const [offset, entrySize, count, names] = [file.u64(40), file.u16(58), file.u16(60), file.u16(62)];
  if (entrySize !== SECTION)
    throw new ObjectError("format", `section headers of ${entrySize} bytes: expected ${SECTION}`);
  if (count === 0 || count > MOST_SECTIONS)
    throw new ObjectError("format", `${count} sections: expected 1 to ${MOST_SECTIONS}`);
  const table = new Reader(file.slice(offset, count * SECTION), "section headers");
  const raw = Array.from({ length: count }, (_, index) => {
    const at = index * SECTION;
    const type = table.u32(at + 4);
    const [start, size] = [table.u64(at + 24), table.u64(at + 32)];
    if (type === SectionType.Nobits && size > MOST_ZEROS)
      throw new ObjectError("limit", `section ${index}: ${size} bytes of zeros, at most ${MOST_ZEROS}`);
    const empty = type === SectionType.Nobits || type === SectionType.Null;
    return {
      index,
      name: table.u32(at),
      type,
      executable: (table.u32(at + 8) & EXECUTABLE) !== 0,
      link: table.u32(at + 40),
      info: table.u32(at + 44),
      size,
      entrySize: table.u64(at + 56),
      data: empty ? new Uint8Array(0) : file.slice(start, size),
    };
  });
  const strings = raw[names];
  if (strings === undefined) throw new ObjectError("format", `section ${names} of ${count} for the names of sections`);
  const texts = new Reader(strings.data, "names of sections");
  return raw.map((section) => ({ ...section, name: section.index === 0 ? "" : texts.text(section.name) }));
}

function readSymbols(sections: readonly ElfSection[]): ElfSymbol[] {
  const tables = sections.filter(({ type }) => type === SectionType.Symtab);
  const [table] = tables;
  if (table === undefined) throw new ObjectError("format", "no symbols: the object has been stripped");
  if (tables.length > 1) throw new ObjectError("format", `${tables.length} tables of symbols: expected one`);
  if (table.entrySize !== SYMBOL || table.size % SYMBOL !== 0)
    throw new ObjectError("format", `symbols of ${table.entrySize} in ${table.size} bytes: expected ${SYMBOL} each`);
  if (table.size / SYMBOL > MOST_SYMBOLS)
    throw new ObjectError("limit", `${table.size / SYMBOL} symbols: at most ${MOST_SYMBOLS}`);
  const strings = new Reader(sections[table.link]?.data ?? new Uint8Array(0), "names of symbols");
  const entries = new Reader(table.data, "symbols");
  return Array.from({ length: table.size / SYMBOL }, (_, index) => {
    const at = index * SYMBOL;
    const info = entries.u8(at + 4);
    const name = entries.u32(at);
    return {
      index,
      name: name === 0 ? "" : strings.text(name),
      type: info & 15,
      binding: info >>> 4,
      hidden: (entries.u8(at + 5) & 3) !== 0,
      section: entries.u16(at + 6),
      value: entries.u64(at + 8),
      size: entries.u64(at + 16),
    };
  });
}

function readRelocations(sections: readonly ElfSection[], symbols: readonly ElfSymbol[]): Map<number, ElfRelocation[]> {
  const byTarget = new Map<number, ElfRelocation[]>();
  let total = 0;
  for (const { name, type, entrySize, size, data, info } of sections) {
    if (type !== SectionType.Rel) continue;
    if (entrySize !== REL || size % REL !== 0 || sections[info] === undefined)
      throw new ObjectError("format", `${name}: relocations of ${entrySize} in ${size} bytes for section ${info}`);
    const entries = new Reader(data, name);
    total += size / REL;
    if (total > MOST_RELOCATIONS) throw new ObjectError("limit", `more than ${MOST_RELOCATIONS} relocations`);
    const known = byTarget.get(info) ?? [];
    for (let at = 0; at < size; at += REL) {
      const symbol = symbols[entries.u32(at + 12)];
      if (symbol === undefined)
        throw new ObjectError("relocation", `${name}: symbol ${entries.u32(at + 12)} of ${symbols.length}`);
      known.push({ offset: entries.u64(at), type: entries.u32(at + 8), symbol });
    }
    byTarget.set(info, known);
  }
  for (const relocations of byTarget.values()) relocations.sort((a, b) => a.offset - b.offset);
  return byTarget;
}
