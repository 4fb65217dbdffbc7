import { MapType } from "../uapi/map-types.js";
import { type Elf, SectionType } from "./elf.js";
import { ObjectError } from "./errors.js";
import type { PlacedMap } from "./maps.js";

/** Section of the variables in address space 1: those of the arena, from its first byte on. */
const ARENA_DATA = ".addr_space.1";

/** Maps, and the section whose data is in one of them. */
export interface WithArena {
  readonly maps: readonly PlacedMap[];
  /** Index of the section, and place of the map; null if no variables are in an arena. */
  readonly arena: { readonly section: number; readonly map: number } | null;
}

/** Gives the arena what its variables are initialised with. @throws {ObjectError} map for variables without an arena */
export function placeArena(elf: Elf, maps: readonly PlacedMap[]): WithArena {
  const section = elf.sections.find(
    ({ name, type, size }) => name === ARENA_DATA && type === SectionType.Progbits && size > 0,
  );
  if (section === undefined) return { maps, arena: null };
  const map = maps.findIndex(({ definition }) => definition.type === MapType.Arena);
  if (map < 0) throw new ObjectError("map", `section ${ARENA_DATA} has variables of an arena, and no map is one`);
  const filled = maps.map((one, k) =>
    k === map ? { ...one, definition: { ...one.definition, contents: section.data } } : one,
  );
  return { maps: filled, arena: { section: section.index, map } };
}
