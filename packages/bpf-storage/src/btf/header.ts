import { BpfError } from "../errors.js";
import { LAYOUT } from "./kinds.js";

/** `BTF_MAGIC`. */
export const BTF_MAGIC = 0xeb9f;
/** Bytes of a header up to the string section; newer ones are longer. */
export const HEADER_SIZE = 24;
/** The length of the header lies before this. */
const HEADER_LENGTH_END = 8;
/** Type information of programs is limited to 16 MB by the kernel; a whole kernel's with its modules stays below this. */
const MOST_BYTES = 64 << 20;

/** A part of the bytes, from `start` to `end` exclusive, from the header's start on. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Where what lies. */
export interface BtfHeader {
  readonly types: Range;
  readonly strings: Range;
  /** Bytes behind a type, once and per element, by kind: what is known here and what the bytes tell of newer kinds. */
  readonly layout: readonly (readonly [once: number, each: number])[];
}

/**
 * Reads the header (Documentation/bpf/btf.rst, 3.1; the table of layouts: linux 7.1).
 * @param base whether it continues other type information, and may have no strings of its own
 * @throws {BpfError} EINVAL for no type information, or sections outside of the bytes; ENOTSUPP for another version
 */
export function readHeader(bytes: Uint8Array, base: boolean): BtfHeader {
  if (bytes.length > MOST_BYTES) throw new BpfError("E2BIG", `${bytes.length} bytes of BTF: at most ${MOST_BYTES}`);
  if (bytes.length < HEADER_LENGTH_END) throw new BpfError("EINVAL", `${bytes.length} bytes of BTF: hdr_len not found`);
  const view = viewOf(bytes);
  const magic = view.getUint16(0, true);
  if (magic === 0x9feb) throw new BpfError("ENOTSUPP", "big-endian BTF: little-endian is what is read");
  if (magic !== BTF_MAGIC) throw new BpfError("EINVAL", `Invalid magic 0x${magic.toString(16)}: expected 0xeb9f`);
  const [version, flags, length] = [view.getUint8(2), view.getUint8(3), view.getUint32(4, true)];
  if (version !== 1) throw new BpfError("ENOTSUPP", `Unsupported version ${version} of BTF: expected 1`);
  if (flags !== 0) throw new BpfError("ENOTSUPP", `Unsupported flags 0x${flags.toString(16)} of BTF: expected none`);
  if (length < HEADER_SIZE || length > bytes.length)
    throw new BpfError("EINVAL", `hdr_len ${length} of ${bytes.length} bytes: btf_header not found`);
  const range = (what: string, at: number): Range => {
    const start = length + view.getUint32(at, true);
    const end = start + view.getUint32(at + 4, true);
    if (end > bytes.length) throw new BpfError("EINVAL", `${what} from ${start} to ${end} of ${bytes.length} bytes`);
    return { start, end };
  };
  const types = range("types", 8);
  const strings = range("strings", 16);
  if (types.start % 4 !== 0) throw new BpfError("EINVAL", `types from ${types.start}: expected a multiple of 4`);
  const empty = strings.start === strings.end;
  if (empty ? !base : bytes[strings.end - 1] !== 0 || (!base && bytes[strings.start] !== 0))
    throw new BpfError("EINVAL", "Invalid string section: expected one that begins and ends with 0");
  return { types, strings, layout: length >= HEADER_SIZE + 8 ? withLayout(view, range("layout", 24)) : LAYOUT };
}

/** The table of kinds that newer type information carries about itself: four bytes a kind. What is known here stays as it is known. */
function withLayout(view: DataView, { start, end }: Range): BtfHeader["layout"] {
  const layout = [...LAYOUT];
  for (let at = start + 4 * layout.length; at + 4 <= end; at += 4)
    layout.push([view.getUint8(at), view.getUint8(at + 1)]);
  return layout;
}

/** A view of the same bytes. */
export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
