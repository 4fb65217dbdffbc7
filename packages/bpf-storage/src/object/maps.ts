import type { Btf } from "../btf/btf.js";
import { BtfKind } from "../btf/kinds.js";
import { MapFlag, MapType } from "../uapi/map-types.js";
import { type Elf, type ElfSection, type ElfSymbol, SectionType, SymbolType } from "./elf.js";
import { ObjectError } from "./errors.js";
import { TEXT } from "./functions.js";
import {
  defineMap,
  isMapInMap,
  type MapDefinition,
  type MapSlot,
  type MapVariable,
  PLAIN_MAP,
} from "./map-definition.js";

/** Section of maps that are defined by types. */
const MAPS = ".maps";
/** Bytes of a pointer in the object. */
const POINTER = 8;
/** Maps of a section, or sections of data. */
export const MOST_MAPS = 4096;
/** Bytes of all data: zeros take no place in the object. */
const MOST_DATA = 128 << 20;

/** A map, and where in the object it is. */
export interface PlacedMap {
  readonly definition: MapDefinition;
  readonly section: number;
  /** Bytes from the start of the section; of data 0. */
  readonly offset: number;
}

/** The maps of section `.maps`, in their order there. @throws {ObjectError} map; {BpfError} for types that lead nowhere */
export function readMaps(elf: Elf, btf: Btf | null): PlacedMap[] {
  if (elf.sections.some(({ name }) => name === "maps"))
    throw new ObjectError(
      "map",
      "maps in section maps, as before libbpf 1.0: define them by their types in section .maps",
    );
  const section = elf.sections.find(({ name }) => name === MAPS);
  if (section === undefined) return [];
  const id = btf?.find(MAPS, BtfKind.Datasec) ?? null;
  const datasec = id === null || btf === null ? null : btf.type(id);
  if (btf === null || datasec?.kind !== BtfKind.Datasec)
    throw new ObjectError("map", "section .maps without its type information: compile with -g");
  if (datasec.variables.length > MOST_MAPS) throw new ObjectError("limit", `more than ${MOST_MAPS} maps`);
  const offsets = symbolOffsets(elf, section);
  const maps = datasec.variables.map(({ type, size, offset }): PlacedMap & { readonly size: number } => {
    const variable = btf.type(type);
    const struct = variable.kind === BtfKind.Var ? btf.resolved(variable.type) : null;
    if (struct?.kind !== BtfKind.Struct || variable.name === "")
      throw new ObjectError("map", `map ${variable.name || type}: expected a variable that is a structure`);
    if (struct.members.length === 0) throw new ObjectError("map", `map ${variable.name}: a structure without members`);
    return {
      definition: defineMap(btf, variable.name, struct),
      section: section.index,
      offset: offsets.get(variable.name) ?? offset,
      size,
    };
  });
  return fillSlots(elf, btf, section, maps);
}

/** Puts what the section's relocations say into the maps of maps and programs. */
function fillSlots(
  elf: Elf,
  btf: Btf,
  section: ElfSection,
  maps: readonly (PlacedMap & { readonly size: number })[],
): PlacedMap[] {
  const slots = maps.map((): MapSlot[] => []);
  const values = maps.map(({ definition }) => valuesOffset(btf, definition.name));
  for (const { offset, symbol } of elf.relocations.get(section.index) ?? []) {
    const index = maps.findIndex((map) => map.offset <= offset && offset + POINTER <= map.offset + map.size);
    const map = maps[index];
    if (map === undefined)
      throw new ObjectError("map", `section .maps: a relocation of byte ${offset}, where no map is`);
    const first = values[index] ?? null;
    if (first === null || offset - map.offset < first || (offset - map.offset - first) % POINTER !== 0)
      throw new ObjectError(
        "map",
        `map ${map.definition.name}: a relocation of byte ${offset - map.offset}, which holds no value`,
      );
    checkSlot(elf, map.definition, symbol, section);
    slots[index]?.push({ index: (offset - map.offset - first) / POINTER, name: symbol.name });
  }
  return maps.map(({ definition, section: place, offset }, k) => ({
    definition: { ...definition, slots: slots[k] ?? [] },
    section: place,
    offset,
  }));
}

function checkSlot(elf: Elf, { name, type, keySize }: MapDefinition, symbol: ElfSymbol, maps: ElfSection): void {
  if (isMapInMap(type)) {
    if (symbol.section !== maps.index)
      throw new ObjectError("map", `map ${name}: ${symbol.name} is no map of section .maps`);
    if (type === MapType.HashOfMaps && keySize !== 4)
      throw new ObjectError(
        "map",
        `map ${name}: keys of ${keySize} bytes: expected 4, to have maps from the beginning`,
      );
    return;
  }
  const section = elf.sections[symbol.section];
  if (
    type !== MapType.ProgArray ||
    section?.executable !== true ||
    section.name === TEXT ||
    symbol.type !== SymbolType.Func
  )
    throw new ObjectError("map", `map ${name}: ${symbol.name} is no program`);
}

/** Bytes from the start of a map's variable to its `values`. */
function valuesOffset(btf: Btf, name: string): number | null {
  const id = btf.find(name, BtfKind.Var);
  const struct = id === null ? null : btf.resolved(btf.target(id));
  const last = struct?.kind === BtfKind.Struct ? struct.members.at(-1) : undefined;
  return last?.name === "values" ? last.bitOffset >>> 3 : null;
}

/** Where the variables of a section are, by name. */
function symbolOffsets(elf: Elf, { index }: ElfSection): Map<string, number> {
  const own = elf.bySection.get(index) ?? [];
  return new Map(
    own.flatMap(({ name, type, value }) => (name === "" || type === SymbolType.Section ? [] : [[name, value]])),
  );
}

/** Maps of the sections of data: one element, which is the section. @throws {ObjectError} limit; {BpfError} */
export function readData(elf: Elf, btf: Btf | null): PlacedMap[] {
  const sections = elf.sections.filter(isData);
  const bytes = sections.reduce((sum, { size }) => sum + size, 0);
  if (bytes > MOST_DATA || sections.length > MOST_MAPS)
    throw new ObjectError(
      "limit",
      `${bytes} bytes of data in ${sections.length} sections: at most ${MOST_DATA} in ${MOST_MAPS}`,
    );
  // Sections that overlap would be copied more often than they are there.
  const stored = sections.reduce((sum, { data }) => sum + data.length, 0);
  if (stored > elf.bytes)
    throw new ObjectError("limit", `${stored} bytes of data that are not zeros, in an object of ${elf.bytes}`);
  return sections.map((section) => {
    const id = btf?.find(section.name, BtfKind.Datasec) ?? null;
    const variables = btf === null || id === null ? [] : readVariables(elf, btf, section, id);
    const frozen = section.name.startsWith(".rodata");
    const flags =
      (variables.some(({ exported }) => exported) ? MapFlag.Mmapable : 0) | (frozen ? MapFlag.RdonlyProg : 0);
    const contents = section.type === SectionType.Nobits ? null : section.data;
    return {
      definition: {
        ...PLAIN_MAP,
        ...{
          name: section.name,
          origin: "data",
          type: MapType.Array,
          keySize: 4,
          valueSize: section.size,
          maxEntries: 1,
        },
        ...{ flags, valueTypeId: id ?? 0, contents, frozen },
        variables: variables.map(({ variable }) => variable),
      },
      section: section.index,
      offset: 0,
    };
  });
}

function isData({ name, type, executable, size }: ElfSection): boolean {
  const named = (prefix: string): boolean => name === prefix || name.startsWith(`${prefix}.`);
  if (type === SectionType.Nobits) return named(".bss");
  return type === SectionType.Progbits && !executable && size > 0 && (named(".data") || named(".rodata"));
}

function readVariables(
  elf: Elf,
  btf: Btf,
  section: ElfSection,
  id: number,
): { readonly variable: MapVariable; readonly exported: boolean }[] {
  const datasec = btf.type(id);
  if (datasec.kind !== BtfKind.Datasec) return [];
  const offsets = symbolOffsets(elf, section);
  return datasec.variables.flatMap(({ type, offset, size }) => {
    const variable = btf.type(type);
    if (variable.kind !== BtfKind.Var) return [];
    const place = offsets.get(variable.name) ?? offset;
    if (place + size > section.size)
      throw new ObjectError(
        "map",
        `${section.name}: ${variable.name} from ${place} to ${place + size} of ${section.size} bytes`,
      );
    return [
      {
        variable: { name: variable.name, offset: place, size, typeId: variable.type },
        exported: variable.linkage !== 0,
      },
    ];
  });
}
