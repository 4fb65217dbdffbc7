import { AttachType, MapType, ProgramType } from "@vm/bpf-storage";

/** Names of numbers as bpftool has them: those of linux/bpf.h in lower case. */
const namesOf = (numbers: Readonly<Record<string, number>>): ReadonlyMap<number, string> =>
  new Map(
    Object.entries(numbers).map(([name, number]) => [
      number,
      name.replace(/(?<=.)[A-Z]/g, (letter) => `_${letter}`).toLowerCase(),
    ]),
  );

const PROGRAMS = namesOf(ProgramType);
const MAPS = namesOf(MapType);
const ATTACH = namesOf(AttachType);

/** The name of a kind of programs, maps or attachments; the number of one that has none. */
export const programTypeName = (type: number): string | number => PROGRAMS.get(type) ?? type;
export const mapTypeName = (type: number): string | number => MAPS.get(type) ?? type;
export const attachTypeName = (type: number): string | number => ATTACH.get(type) ?? type;

/** In a line: a number that has no name stands behind `type`. */
export const inLine = (name: string | number): string => (typeof name === "string" ? name : `type ${name}`);
