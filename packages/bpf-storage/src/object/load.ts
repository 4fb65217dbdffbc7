import { Btf } from "../btf/btf.js";
import { placeArena, type WithArena } from "./arena.js";
import { readBtfExt, type SectionInfo } from "./btf-ext.js";
import { type Elf, type ElfSection, readElf } from "./elf.js";
import { ObjectError, reading } from "./errors.js";
import { readExterns } from "./externs.js";
import { type CodeFunction, readFunctions, TEXT } from "./functions.js";
import { type PlacedMap, readData, readMaps } from "./maps.js";
import { type BpfObject, type ObjectProgram, placeKey } from "./object.js";
import { Reader } from "./reader.js";
import { describeSection } from "./sections.js";
import { readStructOps } from "./struct-ops.js";

/**
 * Reads an object that clang made for eBPF (`clang -target bpf -g -O2 -c`), as libbpf 1.x does.
 * @param bytes the whole file; what is returned refers to it
 * @throws {ObjectError} whatever the bytes are, nothing else is thrown
 */
export function loadObject(bytes: Uint8Array): BpfObject {
  const elf = readElf(bytes);
  const btf = readBtf(elf);
  const functions = readFunctions(elf, readInfos(elf, btf));
  const [placed, externs] = reading("type information", () => [
    [...readMaps(elf, btf), ...readStructOps(elf, btf), ...readData(elf, btf)],
    readExterns(elf, btf),
  ]);
  const { maps, arena } = placeArena(elf, placed);
  const own = functions.filter(({ section }) => section === TEXT);
  return {
    license: readLicense(section(elf, "license")),
    version: readVersion(section(elf, "version")),
    programs: functions.filter((one) => one.section !== TEXT).map(program),
    maps: maps.map(({ definition }) => definition),
    externs: [...externs.values()],
    btf,
    parts: {
      elf,
      maps,
      mapAt: placesOf(maps, arena),
      externs,
      subprograms: new Map(own.map((one) => [one.start, one])),
    },
  };
}

const section = (elf: Elf, name: string): ElfSection | null => elf.sections.find((one) => one.name === name) ?? null;

/** The first of those at the same place counts. */
function placesOf(maps: readonly PlacedMap[], arena: WithArena["arena"]): Map<string, number> {
  const places = maps.map(({ definition, section: own, offset }, k): [string, number] => [
    placeKey(own, definition.origin === "data" ? null : offset),
    k,
  ]);
  if (arena !== null) places.push([placeKey(arena.section, null), arena.map]);
  return new Map(places.reverse());
}

function readBtf(elf: Elf): Btf | null {
  const found = section(elf, ".BTF");
  return found === null ? null : reading(".BTF", () => new Btf(found.data));
}

function readInfos(elf: Elf, btf: Btf | null): ReadonlyMap<string, SectionInfo> {
  const found = section(elf, ".BTF.ext");
  return found === null || btf === null ? new Map() : readBtfExt(found.data, btf);
}

function program(one: CodeFunction): ObjectProgram {
  const kind = describeSection(one.section);
  return { ...kind, name: one.name, section: kind.autoload ? one.section : one.section.slice(1), function: one };
}

const readLicense = (found: ElfSection | null): string =>
  found === null ? "" : new Reader(found.data.subarray(0, MOST_LICENSE), "license").text(0);

const MOST_LICENSE = 128;

function readVersion(found: ElfSection | null): number {
  if (found === null) return 0;
  if (found.size !== 4) throw new ObjectError("format", `section version of ${found.size} bytes: expected 4`);
  return new Reader(found.data, "version").u32(0);
}
