/** A section as it is written; the sections of names and symbols come by themselves. */
export interface SectionRow {
  readonly name: string;
  readonly type?: number;
  readonly executable?: boolean;
  readonly data?: Uint8Array;
  /** Bytes of a section that has none in the file. */
  readonly zeros?: number;
}

/** A symbol; `section` is the name of its section, `undefined` if it is in none. */
export interface SymbolRow {
  readonly name: string;
  readonly section?: string;
  readonly value?: number;
  readonly size?: number;
  readonly type?: number;
  readonly binding?: number;
  readonly visibility?: number;
}

/** A relocation of a section: byte, name of the symbol; `.text` and the like are symbols of sections. */
export interface RelocationRow {
  readonly section: string;
  readonly offset: number;
  readonly symbol: string;
  readonly type?: number;
}

const [PROGBITS, SYMTAB, STRTAB, NOBITS, REL] = [1, 2, 3, 8, 9];
export const [NOTYPE, OBJECT, FUNC, SECTION] = [0, 1, 2, 3];
export const [LOCAL, GLOBAL, WEAK] = [0, 1, 2];

/** Writes a relocatable object of eBPF by hand. */
export class ElfBuilder {
  readonly sections: SectionRow[] = [];
  readonly symbols: SymbolRow[] = [];
  readonly relocations: RelocationRow[] = [];

  build(): Uint8Array {
    const strings = new Strings();
    const named = this.sections.map(({ name }) => ({ name, section: name, type: SECTION, binding: LOCAL }));
    const symbols: readonly SymbolRow[] = [{ name: "" }, ...named, ...this.symbols];
    const indexOf = (name: string): number => 1 + this.sections.findIndex((one) => one.name === name);
    const targets = [...new Set(this.relocations.map(({ section }) => section))];
    const symtab = 1 + this.sections.length + targets.length;
    const rows = [
      { name: "", type: 0, data: new Uint8Array(0) },
      ...this.sections.map((one) => ({ ...one, type: one.type ?? (one.zeros === undefined ? PROGBITS : NOBITS) })),
      ...targets.map((target) => ({
        name: `.rel${target}`,
        ...{ type: REL, link: symtab, info: indexOf(target), entry: 16 },
        data: this.#relocationBytes(target, symbols),
      })),
      { name: ".symtab", type: SYMTAB, link: symtab + 1, entry: 24, data: symbolBytes(symbols, strings, indexOf) },
      { name: ".strtab", type: STRTAB, data: new Uint8Array(0) },
    ];
    const names = rows.map(({ name }) => strings.at(name));
    const last = rows.at(-1);
    if (last !== undefined) last.data = strings.bytes();
    let end = 64;
    const places = rows.map(({ data }) => {
      const at = end;
      end += Math.ceil((data?.length ?? 0) / 8) * 8;
      return at;
    });
    const bytes = new Uint8Array(end + 64 * rows.length);
    const view = new DataView(bytes.buffer);
    bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
    for (const [at, value] of [
      [16, 1],
      [18, 247],
      [52, 64],
      [58, 64],
      [60, rows.length],
      [62, rows.length - 1],
    ] as const)
      view.setUint16(at, value, true);
    view.setUint32(20, 1, true);
    view.setUint32(40, end, true);
    rows.forEach((row, k) => {
      const at = end + 64 * k;
      const {
        link = 0,
        info = 0,
        entry = 0,
        executable,
        zeros,
      } = row as SectionRow & Partial<Record<"link" | "info" | "entry", number>>;
      bytes.set(row.data ?? [], places[k]);
      const words = [
        names[k],
        row.type,
        executable === true ? 6 : 2,
        0,
        0,
        0,
        places[k],
        0,
        zeros ?? row.data?.length ?? 0,
        0,
      ];
      [...words, link, info, 8, 0, entry, 0].forEach((word, n) => void view.setUint32(at + 4 * n, word ?? 0, true));
    });
    return bytes;
  }

  #relocationBytes(target: string, symbols: readonly SymbolRow[]): Uint8Array {
    const own = this.relocations.filter(({ section }) => section === target);
    const view = new DataView(new ArrayBuffer(16 * own.length));
    own.forEach(({ offset, symbol, type = 1 }, k) => {
      view.setUint32(16 * k, offset, true);
      view.setUint32(16 * k + 8, type, true);
      view.setUint32(
        16 * k + 12,
        symbols.findIndex(({ name }) => name === symbol),
        true,
      );
    });
    return new Uint8Array(view.buffer);
  }
}

function symbolBytes(symbols: readonly SymbolRow[], strings: Strings, indexOf: (name: string) => number): Uint8Array {
  const view = new DataView(new ArrayBuffer(24 * symbols.length));
  symbols.forEach(({ name, section, value = 0, size = 0, type = NOTYPE, binding = GLOBAL, visibility = 0 }, k) => {
    const at = 24 * k;
    view.setUint32(at, type === SECTION ? 0 : strings.at(name), true);
    view.setUint8(at + 4, (binding << 4) | type);
    view.setUint8(at + 5, visibility);
    view.setUint16(at + 6, section === undefined ? 0 : indexOf(section), true);
    view.setUint32(at + 8, value, true);
    view.setUint32(at + 16, size, true);
  });
  return new Uint8Array(view.buffer);
}

class Strings {
  #text = "\0";

  at(name: string): number {
    if (name === "") return 0;
    const at = this.#text.length;
    this.#text += `${name}\0`;
    return at;
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#text, (character) => character.charCodeAt(0));
  }
}
