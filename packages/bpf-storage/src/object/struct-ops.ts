import type { Btf } from "../btf/btf.js";
import { BtfKind } from "../btf/kinds.js";
import { MapFlag, MapType } from "../uapi/map-types.js";
import { between, type Elf, type ElfSection, SectionType } from "./elf.js";
import { ObjectError } from "./errors.js";
import { PLAIN_MAP } from "./map-definition.js";
import { MOST_MAPS, type PlacedMap } from "./maps.js";

const NAMES = [".struct_ops", ".struct_ops.link"];

/**
 * Maps of structures of functions, which a part of the kernel calls. Their slots are the programs by member of the
 * structure; their contents are the rest, as laid out in the object.
 * @throws {ObjectError} map; {BpfError} for types that lead nowhere
 */
export function readStructOps(elf: Elf, btf: Btf | null): PlacedMap[] {
  return elf.sections
    .filter(({ name, type, size }) => NAMES.includes(plain(name)) && type === SectionType.Progbits && size > 0)
    .flatMap((section) => readSection(elf, btf, section));
}

const plain = (name: string): string => (name.startsWith("?") ? name.slice(1) : name);

function readSection(elf: Elf, btf: Btf | null, section: ElfSection): PlacedMap[] {
  const id = btf?.find(section.name, BtfKind.Datasec) ?? null;
  const datasec = id === null || btf === null ? null : btf.type(id);
  if (btf === null || datasec?.kind !== BtfKind.Datasec)
    throw new ObjectError("map", `section ${section.name} without its type information: compile with -g`);
  if (datasec.variables.length > MOST_MAPS) throw new ObjectError("limit", `more than ${MOST_MAPS} maps`);
  return datasec.variables.map(({ type, offset }) => {
    const name = btf.name(type);
    const struct = btf.kind(type) === BtfKind.Var ? btf.resolved(btf.target(type)) : null;
    if (struct?.kind !== BtfKind.Struct || struct.name === "")
      throw new ObjectError("map", `map ${name}: expected a structure that has a name`);
    const end = offset + struct.size;
    if (end > section.size)
      throw new ObjectError(
        "map",
        `map ${name}: bytes ${offset} to ${end} of ${section.size} of section ${section.name}`,
      );
    const relocations = between(elf.relocations.get(section.index) ?? [], offset, end);
    const slots = relocations.map(({ offset: place, symbol }) => {
      const index = struct.members.findIndex(({ bitOffset }) => bitOffset === 8 * (place - offset));
      if (index < 0 || elf.sections[symbol.section]?.executable !== true)
        throw new ObjectError(
          "map",
          `map ${name}: byte ${place - offset} of ${struct.name} is no function of section struct_ops`,
        );
      return { index, name: symbol.name };
    });
    return {
      definition: {
        ...PLAIN_MAP,
        ...{ name, origin: "struct_ops", type: MapType.StructOps, keySize: 4, valueSize: struct.size, maxEntries: 1 },
        ...{ flags: plain(section.name) === ".struct_ops.link" ? MapFlag.Link : 0, valueTypeId: struct.id, slots },
        contents: section.data.subarray(offset, end),
      },
      section: section.index,
      offset,
    };
  });
}
