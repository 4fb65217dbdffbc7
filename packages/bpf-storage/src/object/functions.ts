import { INSN_SIZE } from "../isa/insn.js";
import { NO_INFO, type SectionInfo } from "./btf-ext.js";
import { Binding, between, type Elf, type ElfRelocation, type ElfSection, SectionType, SymbolType } from "./elf.js";
import { ObjectError } from "./errors.js";

/** Section of functions that programs call. */
export const TEXT = ".text";
/** Functions and programs of an object. */
const MOST_FUNCTIONS = 16384;

/** A function of the object: a program, or one that programs call. Places are in instructions. */
export interface CodeFunction {
  readonly name: string;
  /** Name of the section as the object has it. */
  readonly section: string;
  /** First instruction, from the start of the section. */
  readonly start: number;
  readonly length: number;
  /** Of the instructions. */
  readonly bytes: Uint8Array;
  /** Not static. Hidden ones are treated as static: the verifier goes through them with each caller. */
  readonly global: boolean;
  /** Relocations of its instructions, by place in the function. */
  readonly relocations: ReadonlyMap<number, ElfRelocation>;
  /** What .BTF.ext says; offsets are bytes from the start of the function. */
  readonly info: SectionInfo;
}

/** The functions of all sections of code, in the order of sections, then of symbols. @throws {ObjectError} program, relocation or limit */
export function readFunctions(elf: Elf, infos: ReadonlyMap<string, SectionInfo>): CodeFunction[] {
  const functions: CodeFunction[] = [];
  for (const section of elf.sections) {
    if (section.type !== SectionType.Progbits || !section.executable || section.size === 0) continue;
    const relocations = elf.relocations.get(section.index) ?? [];
    checkPlaces(section, relocations);
    for (const symbol of elf.bySection.get(section.index) ?? []) {
      if (symbol.type !== SymbolType.Func) continue;
      if (functions.length === MOST_FUNCTIONS) throw new ObjectError("limit", `more than ${MOST_FUNCTIONS} functions`);
      const { name, value, size } = symbol;
      const end = value + size;
      if (size === 0 || size % INSN_SIZE !== 0 || value % INSN_SIZE !== 0 || end > section.size)
        throw new ObjectError(
          "program",
          `${name}: bytes ${value} to ${end} of ${section.size} of section ${section.name}`,
        );
      if (section.name !== TEXT && symbol.binding === Binding.Local)
        throw new ObjectError(
          "program",
          `${name}: a static function in section ${section.name}: only ${TEXT} may have those`,
        );
      const within = between(relocations, value, end);
      functions.push({
        name,
        section: section.name,
        start: value / INSN_SIZE,
        length: size / INSN_SIZE,
        bytes: section.data.subarray(value, end),
        global: symbol.binding !== Binding.Local && !symbol.hidden,
        relocations: new Map(within.map((one) => [(one.offset - value) / INSN_SIZE, one])),
        info: part(infos.get(section.name) ?? NO_INFO, value, end),
      });
    }
  }
  return functions;
}

function checkPlaces({ name, size }: ElfSection, relocations: readonly ElfRelocation[]): void {
  for (const { offset } of relocations)
    if (offset % INSN_SIZE !== 0 || offset >= size)
      throw new ObjectError("relocation", `section ${name}: a relocation of byte ${offset} of ${size}`);
}

/** Records of one function, from its start on. */
function part({ functions, lines, relocations }: SectionInfo, start: number, end: number): SectionInfo {
  const moved = <T extends { readonly offset: number }>(all: readonly T[]): T[] =>
    between(all, start, end).map((one) => ({ ...one, offset: one.offset - start }));
  return { functions: moved(functions), lines: moved(lines), relocations: moved(relocations) };
}
