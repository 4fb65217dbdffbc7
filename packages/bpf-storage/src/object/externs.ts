import type { Btf } from "../btf/btf.js";
import { BtfKind, FuncLinkage, VarLinkage } from "../btf/kinds.js";
import { essentialName } from "../btf/names.js";
import { Binding, type Elf, type ElfSymbol, SectionIndex, SymbolType } from "./elf.js";
import { ObjectError } from "./errors.js";
import { describeKconfig, type KconfigExtern, placeKconfig } from "./kconfig.js";

/** Sections of what the object expects of the kernel. */
const [KCONFIG, KSYMS] = [".kconfig", ".ksyms"];
const MOST_EXTERNS = 4096;

/** What all of them have. */
export interface ExternBase {
  readonly name: string;
  /** Without flavour: what is looked for in the kernel. */
  readonly essential: string;
  /** The object can do without it. */
  readonly weak: boolean;
  /** Number of its VAR or FUNC in the object's type information. */
  readonly btfId: number;
}

/** A symbol of the kernel: its address, a variable of a known type, or a function that programs may call. */
export interface KsymExtern extends ExternBase {
  readonly kind: "address" | "variable" | "kfunc";
  /** Its type in the object's type information; 0 for an address. */
  readonly typeId: number;
}

/** Something that is not in the object but expected of the kernel. */
export type Extern = KsymExtern | KconfigExtern;

/**
 * What the object expects of the kernel, by the index of its symbol.
 * @throws {ObjectError} extern; {BpfError} for types that lead nowhere
 */
export function readExterns(elf: Elf, btf: Btf | null): Map<number, Extern> {
  const symbols = elf.symbols.filter(isExtern);
  if (symbols.length === 0) return new Map();
  if (symbols.length > MOST_EXTERNS)
    throw new ObjectError("limit", `more than ${MOST_EXTERNS} symbols that are not in the object`);
  if (btf === null)
    throw new ObjectError("extern", `${symbols[0]?.name} is not in the object, nor is its type: compile with -g`);
  const sections = externSections(btf);
  const externs = symbols.map((symbol): [number, Extern] => {
    const { name } = symbol;
    const id = btf.all(name).find((one) => isExternType(btf, one));
    const section = id === undefined ? undefined : sections.get(id);
    if (id === undefined || section === undefined)
      throw new ObjectError(
        "extern",
        `${name} is not in the object: link it with the one that has it (bpftool gen object), or say that the kernel has it (__ksym, __kconfig)`,
      );
    const base = { name, essential: essentialName(name), weak: symbol.binding === Binding.Weak, btfId: id };
    return [symbol.index, describe(btf, base, section)];
  });
  return placeKconfig(new Map(externs));
}

function describe(btf: Btf, base: ExternBase, section: string): Extern {
  const { name, btfId } = base;
  const isFunction = btf.kind(btfId) === BtfKind.Func;
  if (section === KCONFIG) {
    if (isFunction) throw new ObjectError("extern", `${name}: a function in section .kconfig, which has variables`);
    return describeKconfig(btf, base);
  }
  if (section !== KSYMS)
    throw new ObjectError(
      "extern",
      `${name} of section ${section} is not in the object: link it with the one that has it (bpftool gen object)`,
    );
  const typeId = btf.resolve(btf.target(btfId));
  return { ...base, kind: isFunction ? "kfunc" : typeId === 0 ? "address" : "variable", typeId };
}

const isExtern = ({ name, section, binding, type }: ElfSymbol): boolean =>
  section === SectionIndex.Undefined &&
  (binding === Binding.Global || binding === Binding.Weak) &&
  type === SymbolType.None &&
  name !== "";

function isExternType(btf: Btf, id: number): boolean {
  const type = btf.type(id);
  if (type.kind === BtfKind.Var) return type.linkage === VarLinkage.Extern;
  return type.kind === BtfKind.Func && type.linkage === FuncLinkage.Extern;
}

/** The sections that types are in. */
function externSections(btf: Btf): Map<number, string> {
  const sections = new Map<number, string>();
  for (let id = 1; id < btf.count; id++) {
    const type = btf.kind(id) === BtfKind.Datasec ? btf.type(id) : null;
    if (type?.kind !== BtfKind.Datasec) continue;
    for (const variable of type.variables) if (!sections.has(variable.type)) sections.set(variable.type, type.name);
  }
  return sections;
}
