import type { Btf } from "../btf/btf.js";
import { ObjectError, reading } from "./errors.js";
import { Reader } from "./reader.js";

/** A function begins. */
export interface FuncInfo {
  /** Bytes from the start of the section. */
  readonly offset: number;
  /** Number of the FUNC. */
  readonly type: number;
}

/** A line of the source begins. */
export interface LineInfo {
  /** Bytes from the start of the section. */
  readonly offset: number;
  /** Places in the string section of the type information. */
  readonly fileOffset: number;
  readonly textOffset: number;
  readonly line: number;
  readonly column: number;
}

/** An instruction depends on a layout of the kernel (`struct bpf_core_relo`). */
export interface CoreRelocation {
  /** Bytes from the start of the section. */
  readonly offset: number;
  /** The type as the object has it. */
  readonly type: number;
  /** What is accessed: "0:1:2", indices of members and elements. */
  readonly access: string;
  /** `CoreKind`, as the bytes say it. */
  readonly kind: number;
}

/** What .BTF.ext says of one section of code. */
export interface SectionInfo {
  readonly functions: readonly FuncInfo[];
  readonly lines: readonly LineInfo[];
  readonly relocations: readonly CoreRelocation[];
}

export const NO_INFO: SectionInfo = { functions: [], lines: [], relocations: [] };

const MAGIC = 0xeb9f;
/** Header up to the line information; with CO-RE it has eight bytes more. */
const HEADER = 24;
/** Records of all kinds. */
const MOST_RECORDS = 1 << 20;
/** Characters of an access; 64 numbers. */
const MOST_ACCESS = 512;

/**
 * Reads .BTF.ext (Documentation/bpf/btf.rst, 4.2), by the name of the section of code.
 * @throws {ObjectError} format, truncated, limit or btf
 */
export function readBtfExt(bytes: Uint8Array, btf: Btf): Map<string, SectionInfo> {
  const file = new Reader(bytes, ".BTF.ext");
  const length = file.u32(4);
  if (file.u16(0) !== MAGIC || file.u8(2) !== 1)
    throw new ObjectError(
      "format",
      `.BTF.ext begins with 0x${file.u16(0).toString(16)}, version ${file.u8(2)}: expected 0xeb9f, 1`,
    );
  if (length < HEADER)
    throw new ObjectError("format", `.BTF.ext with a header of ${length} bytes: expected ${HEADER} or more`);
  const part = (at: number): Reader =>
    at + 8 > length
      ? new Reader(new Uint8Array(0), ".BTF.ext")
      : new Reader(file.slice(length + file.u32(at), file.u32(at + 4)), ".BTF.ext");
  const read = <T extends { readonly offset: number }>(
    at: number,
    least: number,
    one: (reader: Reader, at: number) => T,
  ): Map<string, T[]> => readRecords(part(at), btf, least, one);
  const functions = read(8, 8, (reader, at): FuncInfo => ({ offset: reader.u32(at), type: reader.u32(at + 4) }));
  const lines = read(16, 16, (reader, at): LineInfo => {
    const place = reader.u32(at + 12);
    return {
      offset: reader.u32(at),
      fileOffset: reader.u32(at + 4),
      textOffset: reader.u32(at + 8),
      line: place >>> 10,
      column: place & 0x3ff,
    };
  });
  const relocations = read(24, 16, (reader, at): CoreRelocation => {
    const access = reading(".BTF.ext", () => btf.string(reader.u32(at + 8)));
    if (access.length > MOST_ACCESS) throw new ObjectError("limit", `CO-RE access ${access.slice(0, 40)}...`);
    return { offset: reader.u32(at), type: reader.u32(at + 4), access, kind: reader.u32(at + 12) };
  });
  const names = new Set([...functions.keys(), ...lines.keys(), ...relocations.keys()]);
  return new Map(
    [...names].map((name) => [
      name,
      {
        functions: functions.get(name) ?? [],
        lines: lines.get(name) ?? [],
        relocations: relocations.get(name) ?? [],
      },
    ]),
  );
}

/** One table: the size of a record, then for each section its name, how many, and the records. */
function readRecords<T extends { readonly offset: number }>(
  part: Reader,
  btf: Btf,
  least: number,
  one: (reader: Reader, at: number) => T,
): Map<string, T[]> {
  const records = new Map<string, T[]>();
  if (part.bytes.length === 0) return records;
  const size = part.u32(0);
  if (size < least || size % 4 !== 0)
    throw new ObjectError("format", `.BTF.ext with records of ${size} bytes: expected ${least} or more`);
  let total = 0;
  for (let at = 4; at < part.bytes.length; ) {
    const name = reading(".BTF.ext", () => btf.string(part.u32(at)));
    const count = part.u32(at + 4);
    total += count;
    if (total > MOST_RECORDS) throw new ObjectError("limit", `.BTF.ext with more than ${MOST_RECORDS} records`);
    if (count === 0) throw new ObjectError("format", `.BTF.ext without records for ${name}`);
    const known = records.get(name) ?? [];
    at += 8;
    for (let k = 0; k < count; k++, at += size) {
      part.slice(at, size);
      known.push(one(part, at));
    }
    records.set(name, known);
  }
  for (const list of records.values()) list.sort((a, b) => a.offset - b.offset);
  return records;
}
