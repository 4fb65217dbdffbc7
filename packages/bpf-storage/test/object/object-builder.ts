import type { Insn } from "../../src/isa/insn.js";
import { encodeInsns } from "../../src/isa/insn.js";
import { AluOp, CALL, Class, EXIT, LD_IMM64, Mode, Size } from "../../src/isa/opcodes.js";
import { BtfBuilder } from "../btf/builder.js";
import { ElfBuilder, FUNC, GLOBAL } from "./elf-builder.js";

/** Instructions by name. */
export const insn = {
  mov: (dst: number, imm: number): Insn => ({ code: Class.Alu64 | AluOp.Mov, dst, src: 0, off: 0, imm }),
  /** A call of a function of the object: the distance, or -1 with a relocation. */
  call: (imm = -1): Insn => ({ code: CALL, dst: 0, src: 1, off: 0, imm }),
  helper: (imm: number): Insn => ({ code: CALL, dst: 0, src: 0, off: 0, imm }),
  exit: (): Insn => ({ code: EXIT, dst: 0, src: 0, off: 0, imm: 0 }),
  wide: (dst: number, imm = 0, high = 0): Insn[] => [
    { code: LD_IMM64, dst, src: 0, off: 0, imm },
    { code: 0, dst: 0, src: 0, off: 0, imm: high },
  ],
  load: (size: number, dst: number, src: number, off: number): Insn => ({
    code: Class.Ldx | Mode.Mem | size,
    dst,
    src,
    off,
    imm: 0,
  }),
  store: (size: number, dst: number, off: number, imm: number): Insn => ({
    code: Class.St | Mode.Mem | size,
    dst,
    src: 0,
    off,
    imm,
  }),
};
export { Size };

/** A function: its instructions, and relocations by their place. */
export interface FunctionRow {
  readonly name: string;
  readonly section: string;
  readonly insns: readonly Insn[];
  readonly relocations?: Readonly<Record<number, string>>;
  readonly binding?: number;
  /** Number of its FUNC. */
  readonly type?: number;
  /** Lines by place. */
  readonly lines?: Readonly<Record<number, number>>;
  /** Of CO-RE, by place: kind, type, access. */
  readonly core?: Readonly<Record<number, readonly [kind: number, type: number, access: string]>>;
}

/** Writes a whole object by hand. */
export class ObjectBuilder {
  readonly btf = new BtfBuilder();
  readonly elf = new ElfBuilder();
  readonly #functions: FunctionRow[] = [];

  add(...functions: FunctionRow[]): this {
    this.#functions.push(...functions);
    return this;
  }

  license(text: string): this {
    this.elf.sections.push({ name: "license", data: Uint8Array.from(`${text}\0`, (one) => one.charCodeAt(0)) });
    return this;
  }

  /** @param info whether to write type information */
  build(info = true): Uint8Array {
    const sections = [...new Set(this.#functions.map(({ section }) => section))];
    const starts = new Map<FunctionRow, number>();
    for (const section of sections) {
      let end = 0;
      const own = this.#functions.filter((one) => one.section === section);
      for (const row of own) {
        starts.set(row, end);
        const size = 8 * row.insns.length;
        this.elf.symbols.push({
          name: row.name,
          section,
          value: end,
          size,
          type: FUNC,
          binding: row.binding ?? GLOBAL,
        });
        for (const [place, symbol] of Object.entries(row.relocations ?? {}))
          this.elf.relocations.push({ section, offset: end + 8 * Number(place), symbol });
        end += size;
      }
      this.elf.sections.push({ name: section, executable: true, data: encodeInsns(own.flatMap(({ insns }) => insns)) });
    }
    if (!info) return this.elf.build();
    const ext = this.#ext(sections, starts);
    this.elf.sections.push({ name: ".BTF", data: this.btf.build() }, { name: ".BTF.ext", data: ext });
    return this.elf.build();
  }

  #ext(sections: readonly string[], starts: ReadonlyMap<FunctionRow, number>): Uint8Array {
    const at = (row: FunctionRow, place: string): number => (starts.get(row) ?? 0) + 8 * Number(place);
    const table = (size: number, records: (row: FunctionRow) => number[][]): number[] => {
      const words = sections.flatMap((section) => {
        const own = this.#functions.filter((one) => one.section === section).flatMap(records);
        return own.length === 0 ? [] : [this.btf.string(section), own.length, ...own.flat()];
      });
      return words.length === 0 ? [] : [size, ...words];
    };
    const functions = table(8, (row) => (row.type === undefined ? [] : [[at(row, "0"), row.type]]));
    const lines = table(16, (row) =>
      Object.entries(row.lines ?? {}).map(([place, line]) => [
        at(row, place),
        this.btf.string("a.c"),
        this.btf.string(`line ${line}`),
        line << 10,
      ]),
    );
    const core = table(16, (row) =>
      Object.entries(row.core ?? {}).map(([place, [kind, type, access]]) => [
        at(row, place),
        type,
        this.btf.string(access),
        kind,
      ]),
    );
    const [f, l, c] = [4 * functions.length, 4 * lines.length, 4 * core.length];
    const words = [0x0001eb9f, 32, 0, f, f, l, f + l, c, ...functions, ...lines, ...core];
    const view = new DataView(new ArrayBuffer(4 * words.length));
    words.forEach((word, k) => void view.setUint32(4 * k, word, true));
    return new Uint8Array(view.buffer);
  }
}
