import { ByteWriter } from "./bytes.js";
import {
  type DynamicSymbol,
  dynamicSymbols,
  gnuHashTable,
  hashTable,
  inOrder,
  StringTable,
  symbolVersions,
  versionDefinitions,
} from "./symbols.js";
import { type CodeRange, unwindFrames, unwindHeader, unwindSizes } from "./unwind.js";

/** A shared object of one read-only segment: text, and tables by which it is found and unwound (gABI, System V ABI for AMD64). */
export interface SharedObjectDesc {
  readonly soname: string;
  readonly version: string;
  /** Exported names: functions by index, more than one name may lead to one. */
  readonly exports: readonly { readonly name: string; readonly weak: boolean; readonly function: number }[];
  readonly functions: number;
  /** Version code in the note by which a dynamic loader knows the kernel (`LINUX_VERSION_CODE`). */
  readonly kernelVersion: number;
}

/** Text, and where its functions are in the image. */
export interface Text {
  readonly bytes: Uint8Array;
  readonly functions: readonly CodeRange[];
}

const EHDR = 64;
const PHDR = 56;
const SHDR = 64;
const [PT_LOAD, PT_DYNAMIC, PT_NOTE, PT_GNU_EH_FRAME] = [1, 2, 4, 0x6474e550];
const [PF_X, PF_R] = [1, 4];
const TEXT_ALIGN = 64;

/** A section and what its header says besides where it is. */
interface Section {
  readonly name: string;
  readonly type: number;
  readonly flags?: number;
  readonly align: number;
  readonly entry?: number;
  readonly link?: string;
  readonly info?: number;
  readonly size: number;
  readonly write: () => Uint8Array;
}

const [ALLOC, EXEC] = [2, 4];
const SHT = {
  progbits: 1,
  strtab: 3,
  hash: 5,
  dynamic: 6,
  note: 7,
  dynsym: 11,
  gnuHash: 0x6ffffff6,
  verdef: 0x6ffffffd,
  versym: 0x6fffffff,
};

/**
 * The image of a shared object.
 * @param assemble makes the text for the offset it gets
 */
export function sharedObject(desc: SharedObjectDesc, assemble: (at: number) => Text): Uint8Array<ArrayBuffer> {
  return new Builder(desc).build(assemble);
}

class Builder {
  readonly #desc: SharedObjectDesc;
  readonly #strings = new StringTable();
  readonly #names = new StringTable();
  readonly #at = new Map<string, number>();
  readonly #sections: readonly Section[];
  #text: Text = { bytes: new Uint8Array(), functions: [] };

  constructor(desc: SharedObjectDesc) {
    this.#desc = desc;
    this.#sections = this.#plan();
  }

  /** Symbols in order; what they lead to is known once there is a text. */
  #symbols(): DynamicSymbol[] {
    const symbols = this.#desc.exports.map(({ name, weak, function: k }): DynamicSymbol => {
      const { at, size } = this.#text.functions[k] ?? { at: 0, size: 0 };
      return { name, weak, value: at, size };
    });
    return inOrder(symbols);
  }

  #plan(): Section[] {
    const { soname, version, functions } = this.#desc;
    const unwind = unwindSizes(functions);
    const symbols = this.#symbols();
    // The strings are all known before anything is written.
    dynamicSymbols(symbols, this.#strings, 0);
    versionDefinitions(soname, version, this.#strings);
    const fixed = (
      name: string,
      type: number,
      align: number,
      write: () => Uint8Array,
      more: Partial<Section> = {},
    ): Section => ({ name, type, align, size: write().length, write, ...more });
    const sections: Section[] = [
      fixed(".hash", SHT.hash, 8, () => hashTable(symbols), { entry: 4, link: ".dynsym" }),
      fixed(".gnu.hash", SHT.gnuHash, 8, () => gnuHashTable(symbols), { link: ".dynsym" }),
      fixed(".dynsym", SHT.dynsym, 8, () => dynamicSymbols(this.#symbols(), this.#strings, this.#index(".text")), {
        entry: 24,
        link: ".dynstr",
        info: 1,
      }),
      fixed(".dynstr", SHT.strtab, 1, () => this.#strings.bytes()),
      fixed(".gnu.version", SHT.versym, 2, () => symbolVersions(symbols), { entry: 2, link: ".dynsym" }),
      fixed(".gnu.version_d", SHT.verdef, 8, () => versionDefinitions(soname, version, this.#strings), {
        link: ".dynstr",
        info: 2,
      }),
      fixed(".dynamic", SHT.dynamic, 8, () => this.#dynamic(), { entry: 16, link: ".dynstr" }),
      fixed(".note", SHT.note, 4, () => this.#note()),
      {
        name: ".eh_frame_hdr",
        type: SHT.progbits,
        align: 4,
        size: unwind.header,
        write: () => unwindHeader(this.#place(".eh_frame_hdr"), this.#place(".eh_frame"), this.#text.functions),
      },
      {
        name: ".eh_frame",
        type: SHT.progbits,
        align: 8,
        size: unwind.frames,
        write: () => unwindFrames(this.#place(".eh_frame"), this.#text.functions),
      },
    ];
    return sections;
  }

  #place(name: string): number {
    return this.#at.get(name) ?? 0;
  }

  /** Number of a section; 0 is none. */
  #index(name: string): number {
    return ["", ...(this.#sections ?? []).map((section) => section.name), ".text", ".shstrtab"].indexOf(name);
  }

  #dynamic(): Uint8Array {
    const { soname } = this.#desc;
    const [SONAME, HASH, STRTAB, SYMTAB, STRSZ, SYMENT, GNU_HASH, VERSYM, VERDEF, VERDEFNUM] = [
      14, 4, 5, 6, 10, 11, 0x6ffffef5, 0x6ffffff0, 0x6ffffffc, 0x6ffffffd,
    ] as const;
    const strings = this.#strings.bytes().length;
    const w = new ByteWriter();
    w.u64(SONAME, this.#strings.offset(soname));
    w.u64(HASH, this.#place(".hash")).u64(GNU_HASH, this.#place(".gnu.hash"));
    w.u64(STRTAB, this.#place(".dynstr")).u64(SYMTAB, this.#place(".dynsym"));
    w.u64(STRSZ, strings).u64(SYMENT, 24);
    w.u64(VERSYM, this.#place(".gnu.version")).u64(VERDEF, this.#place(".gnu.version_d")).u64(VERDEFNUM, 2);
    return w.u64(0, 0).bytes();
  }

  #note(): Uint8Array {
    return new ByteWriter().u32(6, 4, 0).text("Linux").align(4).u32(this.#desc.kernelVersion).bytes();
  }

  build(assemble: (at: number) => Text): Uint8Array<ArrayBuffer> {
    const segments = 4;
    let at = EHDR + segments * PHDR;
    for (const { name, align, size } of this.#sections) {
      at = Math.ceil(at / align) * align;
      this.#at.set(name, at);
      at += size;
    }
    const textAt = Math.ceil(at / TEXT_ALIGN) * TEXT_ALIGN;
    this.#at.set(".text", textAt);
    this.#text = assemble(textAt);
    const text: Section = {
      name: ".text",
      type: SHT.progbits,
      flags: ALLOC | EXEC,
      align: TEXT_ALIGN,
      size: this.#text.bytes.length,
      write: () => this.#text.bytes,
    };
    const all = [...this.#sections, text];
    for (const { name } of all) this.#names.offset(name);
    this.#names.offset(".shstrtab");
    const loaded = textAt + text.size;
    const names = this.#names.bytes();
    const headers = Math.ceil((loaded + names.length) / 8) * 8;
    const image = new Uint8Array(headers + SHDR * (all.length + 2));
    image.set(this.#header(segments, headers, all.length + 2));
    image.set(this.#segments(image.length), EHDR);
    for (const section of all) image.set(section.write(), this.#place(section.name));
    image.set(names, loaded);
    image.set(this.#sectionHeaders(all, loaded, names.length), headers);
    return image;
  }

  #header(segments: number, sections: number, count: number): Uint8Array {
    const w = new ByteWriter().u8(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0).u64(0);
    w.u16(3, 62).u32(1).u64(0, EHDR, sections).u32(0);
    return w.u16(EHDR, PHDR, segments, SHDR, count, count - 1).bytes();
  }

  /** Section headers are loaded too: debuggers read the image out of memory. */
  #segments(length: number): Uint8Array {
    const w = new ByteWriter();
    const segment = (type: number, flags: number, at: number, size: number, align: number) =>
      w.u32(type, flags).u64(at, at, at, size, size, align);
    segment(PT_LOAD, PF_R | PF_X, 0, length, 4096);
    for (const [type, name, align] of [
      [PT_DYNAMIC, ".dynamic", 8],
      [PT_NOTE, ".note", 4],
      [PT_GNU_EH_FRAME, ".eh_frame_hdr", 4],
    ] as const) {
      const { size } = this.#sections.find((section) => section.name === name) as Section;
      segment(type, PF_R, this.#place(name), size, align);
    }
    return w.bytes();
  }

  #sectionHeaders(sections: readonly Section[], namesAt: number, namesSize: number): Uint8Array {
    const w = new ByteWriter();
    const header = (section: Omit<Section, "write">, at: number, flags: number, address: number) => {
      const { name, type, size, align, entry = 0, link, info = 0 } = section;
      w.u32(this.#names.offset(name), type).u64(flags, address, at, size);
      w.u32(link === undefined ? 0 : this.#index(link), info).u64(align, entry);
    };
    header({ name: "", type: 0, size: 0, align: 0 }, 0, 0, 0);
    for (const section of sections) {
      const at = this.#place(section.name);
      header(section, at, section.flags ?? ALLOC, at);
    }
    header({ name: ".shstrtab", type: SHT.strtab, size: namesSize, align: 1 }, namesAt, 0, 0);
    return w.bytes();
  }
}
