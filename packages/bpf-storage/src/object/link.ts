import { decodeInsns, type Insn } from "../isa/insn.js";
import { CALL, CallKind, LD_IMM64, Pseudo } from "../isa/opcodes.js";
import type { CoreRelocation } from "./btf-ext.js";
import { type ElfRelocation, SectionIndex, SymbolType } from "./elf.js";
import { ObjectError, reading } from "./errors.js";
import { exceptionCallback } from "./exception-callback.js";
import type { Extern } from "./externs.js";
import { type CodeFunction, TEXT } from "./functions.js";
import { KCONFIG_MAP } from "./kconfig.js";
import { type BpfObject, type ObjectProgram, placeKey } from "./object.js";

/** Instructions of a program with all that it calls (BPF_COMPLEXITY_LIMIT_INSNS). */
const MOST_INSNS = 1_000_000;

/** A function of a linked program. */
export interface Subprogram {
  readonly name: string;
  /** First instruction; 0 for the program itself. */
  readonly pc: number;
  /** Instructions. */
  readonly length: number;
  /** Number of its FUNC in the object's type information; 0 if that says none. */
  readonly typeId: number;
  /** The verifier may check it on its own. */
  readonly global: boolean;
}

/** An instruction that loads the address of a map, or of something in its only value. */
export interface MapReference {
  readonly pc: number;
  /** Of `MapDefinition`. */
  readonly map: string;
  /** Bytes into the value; null: the map itself. */
  readonly offset: number | null;
}

/** An instruction that calls a function of the kernel, or loads an address of it. */
export interface ExternReference {
  readonly pc: number;
  readonly extern: Extern;
}

/** A line of the source begins. */
export interface LinkedLine {
  readonly pc: number;
  /** Places in the string section of the object's type information. */
  readonly fileOffset: number;
  readonly textOffset: number;
  readonly line: number;
  readonly column: number;
}

/** A place of CO-RE that has not been relocated yet. */
export interface CorePlace {
  readonly pc: number;
  readonly relocation: CoreRelocation;
}

/**
 * A program with all that it calls behind it, in the order in which it is called; then the function that its exceptions end in. What a map or the kernel has to say
 * is told by references: loads of maps have `Pseudo.MapFd` or `Pseudo.MapValue` as source and the place of the map in
 * {@link BpfObject.maps} as immediate (that of `.kconfig` comes behind the last).
 */
export interface LinkedProgram {
  readonly program: ObjectProgram;
  readonly insns: readonly Insn[];
  /** By rising pc; the first is the program. */
  readonly subprograms: readonly Subprogram[];
  readonly maps: readonly MapReference[];
  readonly externs: readonly ExternReference[];
  readonly lines: readonly LinkedLine[];
  readonly core: readonly CorePlace[];
}

/**
 * Links a program.
 * @throws {ObjectError} relocation, program or limit
 */
export function linkProgram(object: BpfObject, program: ObjectProgram): LinkedProgram {
  return new Linker(object).link(program);
}

interface Placed {
  readonly code: CodeFunction;
  readonly pc: number;
}

class Linker {
  readonly #insns: Insn[] = [];
  readonly #placed = new Map<CodeFunction, Placed>();
  readonly #maps: MapReference[] = [];
  readonly #externs: ExternReference[] = [];

  constructor(readonly object: BpfObject) {}

  link(program: ObjectProgram): LinkedProgram {
    this.#placeAll(program.function);
    const callback = exceptionCallback(this.object, program);
    // One that is called too is in its place already; the verifier refuses that.
    if (callback !== null && !this.#placed.has(callback)) this.#placeAll(callback);
    const placed = [...this.#placed.values()];
    for (const { code, pc } of placed)
      for (const [k, relocation] of code.relocations) this.#relocate(code, pc + k, relocation);
    const place = <T extends { readonly offset: number }>(
      records: (code: CodeFunction) => readonly T[],
    ): (T & { pc: number })[] =>
      placed.flatMap(({ code, pc }) =>
        records(code).map((record) => ({ ...record, pc: pc + Math.floor(record.offset / 8) })),
      );
    return {
      program,
      insns: this.#insns,
      subprograms: placed.map(({ code, pc }) => this.#describe(code, pc)),
      maps: this.#maps,
      externs: this.#externs,
      lines: place((code) => code.info.lines).map(({ offset: _, ...line }) => line),
      core: place((code) => code.info.relocations).map(({ pc, ...relocation }) => ({ pc, relocation })),
    };
  }

  /** Places a function, then whatever it calls, each as soon as it is called: libbpf's order, by a stack of our own. */
  #placeAll(main: CodeFunction): void {
    const open = [{ placed: this.#place(main), next: 0 }];
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const { code, pc } = top.placed;
      if (top.next === code.length) {
        open.pop();
        continue;
      }
      const k = top.next++;
      const insn = this.#insns[pc + k] as Insn;
      const called = this.#called(code, k, insn);
      if (called === null) continue;
      const src = insn.code === LD_IMM64 ? Pseudo.Func : insn.src;
      let callee = this.#placed.get(called);
      if (callee === undefined) {
        callee = this.#place(called);
        open.push({ placed: callee, next: 0 });
      }
      this.#insns[pc + k] = { ...insn, src, imm: callee.pc - (pc + k) - 1 };
    }
  }

  #place(code: CodeFunction): Placed {
    const placed = { code, pc: this.#insns.length };
    if (placed.pc + code.length > MOST_INSNS)
      throw new ObjectError("limit", `${code.name}: with it the program has more than ${MOST_INSNS} instructions`);
    for (const insn of decodeInsns(code.bytes)) this.#insns.push(insn);
    this.#placed.set(code, placed);
    return placed;
  }

  /** The function that an instruction calls or has the address of; null if it is no such instruction. */
  #called(code: CodeFunction, k: number, insn: Insn): CodeFunction | null {
    const relocation = code.relocations.get(k);
    const isCall = insn.code === CALL && insn.src === CallKind.Local;
    const at = `${code.name}, instruction ${k}`;
    let target: number;
    if (relocation === undefined) {
      if (insn.code === LD_IMM64 && insn.src === Pseudo.Func)
        throw new ObjectError("relocation", `${at}: the address of a function without a relocation`);
      if (!isCall) return null;
      if (code.section !== TEXT)
        throw new ObjectError(
          "program",
          `${at}: a call within section ${code.section}: functions that are called have to be in ${TEXT}`,
        );
      target = code.start + k + insn.imm + 1;
    } else {
      const { symbol } = relocation;
      if (this.object.parts.externs.has(symbol.index)) return null;
      const name = this.object.parts.elf.sections[symbol.section]?.name ?? `number ${symbol.section}`;
      if (!isCall && (insn.code !== LD_IMM64 || name !== TEXT)) return null;
      if (name !== TEXT)
        throw new ObjectError(
          "relocation",
          `${at}: calls ${symbol.name || "a function"} of section ${name}: expected one of ${TEXT}`,
        );
      target = isCall ? symbol.value / 8 + insn.imm + 1 : (symbol.value + insn.imm) / 8;
    }
    const callee = this.object.parts.subprograms.get(target);
    if (callee === undefined)
      throw new ObjectError("relocation", `${at}: no function begins at instruction ${target} of ${TEXT}`);
    return callee;
  }

  /** What an instruction other than a call of the object's own functions refers to. */
  #relocate(code: CodeFunction, pc: number, { symbol }: ElfRelocation): void {
    const insn = this.#insns[pc] as Insn;
    const error = (why: string): ObjectError => {
      const name = symbol.name || `section ${this.object.parts.elf.sections[symbol.section]?.name}`;
      return new ObjectError("relocation", `${code.name}, instruction ${pc} of the program: ${name}: ${why}`);
    };
    const wide = insn.code === LD_IMM64 && this.#insns[pc + 1]?.code === 0;
    if (!wide && insn.code !== CALL)
      throw error(`an instruction with opcode 0x${insn.code.toString(16)} takes no symbol`);
    const extern = this.object.parts.externs.get(symbol.index);
    if (extern !== undefined) {
      this.#extern(pc, insn, extern);
      return;
    }
    if (insn.code === CALL) {
      if (insn.src !== CallKind.Local) throw error("a call of a helper takes no symbol");
      return;
    }
    if (insn.src === Pseudo.Func) return;
    if (symbol.section === SectionIndex.Undefined || symbol.section >= SectionIndex.LowReserved)
      throw error("it is in no section: initialise the variable, or compile with -fno-common");
    const { maps, mapAt } = this.object.parts;
    const base = symbol.type === SymbolType.Section ? insn.imm : 0;
    const whole = mapAt.get(placeKey(symbol.section, null));
    const index = whole ?? mapAt.get(placeKey(symbol.section, symbol.value + base));
    const map = maps[index ?? -1]?.definition;
    if (index === undefined || map === undefined) throw error("no map begins there, and it is in no section of data");
    const offset = whole === undefined ? null : insn.imm + symbol.value;
    this.#refer(pc, insn, index, map.name, offset);
  }

  #extern(pc: number, insn: Insn, extern: Extern): void {
    if (extern.kind === "kconfig") {
      if (insn.code === CALL)
        throw new ObjectError("relocation", `${extern.name}: a call of a value of the configuration`);
      this.#refer(pc, insn, this.object.maps.length, KCONFIG_MAP, extern.offset);
      return;
    }
    if (insn.code === CALL) {
      if (extern.kind !== "kfunc")
        throw new ObjectError("relocation", `${extern.name}: a call of a variable of the kernel`);
      this.#insns[pc] = { ...insn, src: CallKind.Kfunc, off: 0, imm: 0 };
    }
    this.#externs.push({ pc, extern });
  }

  /** Makes an instruction load a map, or the address of what is in its value. */
  #refer(pc: number, insn: Insn, index: number, map: string, offset: number | null): void {
    this.#insns[pc] = { ...insn, src: offset === null ? Pseudo.MapFd : Pseudo.MapValue, imm: index };
    this.#insns[pc + 1] = { ...(this.#insns[pc + 1] as Insn), imm: (offset ?? 0) | 0 };
    this.#maps.push({ pc, map, offset });
  }

  #describe(code: CodeFunction, pc: number): Subprogram {
    const typeId = code.info.functions.find(({ offset }) => offset === 0)?.type ?? 0;
    const { btf } = this.object;
    if (btf !== null) reading(code.name, () => btf.type(typeId));
    return { name: code.name, pc, length: code.length, typeId, global: code.global };
  }
}
