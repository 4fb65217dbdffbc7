import { BpfError } from "../errors.js";
import { BTF_MAGIC, HEADER_SIZE, viewOf } from "./header.js";
import { LAYOUT, NEWEST_KIND, TYPE_SIZE } from "./kinds.js";

/** BTF_MAX_SIZE, BTF_MAX_TYPE and BTF_MAX_NAME_OFFSET. */
const MOST_BYTES = 16 << 20;
const MOST_TYPES = 0xfffff;
const MOST_NAME_OFFSET = 0xffffff;
/** Bits of btf_type.info that mean something. */
const INFO_BITS = 0x9f00ffff;
const MOST_NAME = 512;

/** The words of a type, as they are. */
export interface RawType {
  readonly id: number;
  readonly at: number;
  readonly nameOffset: number;
  readonly kind: number;
  readonly count: number;
  readonly flag: boolean;
  /** Size or number of a type. */
  readonly word: number;
}

/** What `btf` check fails with; the phrase is the kernel's, which tests look for. */
export const invalid = (phrase: string): never => {
  throw new BpfError("EINVAL", phrase);
};

/** Type information as its bytes are, for the rules of BPF_BTF_LOAD. */
export class RawBtf {
  readonly view: DataView;
  /** By number; the first is void. */
  readonly types: RawType[] = [{ id: 0, at: 0, nameOffset: 0, kind: 0, count: 0, flag: false, word: 0 }];
  readonly #stringStart: number;
  readonly #stringLength: number;

  /**
   * @param check looks at each type as soon as its outline is known
   * @throws {BpfError} what the kernel finds wrong with the header, the sections, or the outlines of types
   */
  constructor(
    readonly bytes: Uint8Array,
    check: (btf: RawBtf, type: RawType) => void,
  ) {
    this.view = viewOf(bytes);
    const { typeStart, typeLength, stringStart, stringLength } = checkHeader(bytes, this.view);
    this.#stringStart = stringStart;
    this.#stringLength = stringLength;
    this.#readTypes(typeStart, typeStart + typeLength, check);
  }

  type(id: number): RawType | undefined {
    return this.types[id];
  }

  /** Word `k` behind a type's own twelve bytes. */
  word({ at }: RawType, k: number): number {
    return this.view.getUint32(at + TYPE_SIZE + 4 * k, true);
  }

  nameOffsetValid = (offset: number): boolean => offset <= MOST_NAME_OFFSET && offset < this.#stringLength;

  /** Whether the name at an offset is one that C could have, with dots. */
  isIdentifier(offset: number): boolean {
    return this.#isName(
      offset,
      (byte, first) => isLetter(byte) || byte === 0x5f || byte === 0x2e || (!first && isDigit(byte)),
    );
  }

  /** Whether the name at an offset can be printed. */
  isPrintable(offset: number): boolean {
    return this.#isName(offset, (byte) => (byte >= 0x20 && byte < 0x7f) || byte >= 0xa0);
  }

  /** Whether there is a name, whatever it is. */
  isNamed = (offset: number): boolean => this.bytes[this.#stringStart + offset] !== 0;

  #isName(offset: number, accepts: (byte: number, first: boolean) => boolean): boolean {
    const start = this.#stringStart + offset;
    let at = start;
    for (; at < start + MOST_NAME; at++) {
      const byte = this.bytes[at] ?? 0;
      if (byte === 0) break;
      if (!accepts(byte, at === start)) return false;
    }
    return at > start && (this.bytes[at] ?? 0) === 0;
  }

  #readTypes(start: number, end: number, check: (btf: RawBtf, type: RawType) => void): void {
    for (let at = start; at < end; ) {
      const id = this.types.length;
      if (end - at < TYPE_SIZE) invalid(`[${id}] meta_left:${end - at} meta_needed:${TYPE_SIZE}`);
      const info = this.view.getUint32(at + 4, true);
      if ((info & ~INFO_BITS) !== 0) invalid(`[${id}] Invalid btf_info:${info.toString(16)}`);
      const kind = (info >>> 24) & 0x1f;
      const layout = LAYOUT[kind];
      if (kind === 0 || kind > NEWEST_KIND || layout === undefined)
        throw new BpfError("EINVAL", `[${id}] Invalid kind:${kind}`);
      const nameOffset = this.view.getUint32(at, true);
      if (!this.nameOffsetValid(nameOffset)) invalid(`[${id}] Invalid name_offset:${nameOffset}`);
      const count = info & 0xffff;
      const more = layout[0] + layout[1] * count;
      if (end - at - TYPE_SIZE < more) invalid(`[${id}] meta_left:${end - at - TYPE_SIZE} meta_needed:${more}`);
      const word = this.view.getUint32(at + 8, true);
      const type = { id, at, nameOffset, kind, count, flag: info >>> 31 === 1, word };
      check(this, type);
      if (id > MOST_TYPES) throw new BpfError("E2BIG", "Too many types");
      this.types.push(type);
      at += TYPE_SIZE + more;
    }
  }
}

/** Letters of Latin-1, which the kernel's table of characters has. */
const isLetter = (byte: number): boolean =>
  ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a) || (byte >= 0xc0 && byte !== 0xd7 && byte !== 0xf7);
const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

interface Sections {
  readonly typeStart: number;
  readonly typeLength: number;
  readonly stringStart: number;
  readonly stringLength: number;
}

/** The header and the two sections, which follow it without gaps (btf_parse_hdr, btf_check_sec_info). */
function checkHeader(bytes: Uint8Array, view: DataView): Sections {
  if (bytes.length > MOST_BYTES) throw new BpfError("E2BIG", `${bytes.length} bytes of BTF: at most ${MOST_BYTES}`);
  if (bytes.length < 8) invalid("hdr_len not found");
  const length = view.getUint32(4, true);
  if (bytes.length < length) invalid("btf_header not found");
  if (bytes.subarray(HEADER_SIZE, Math.max(HEADER_SIZE, length)).some((byte) => byte !== 0))
    throw new BpfError("E2BIG", "Unsupported btf_header");
  // A shorter header leaves the rest 0.
  const header = new DataView(new ArrayBuffer(HEADER_SIZE));
  bytes.subarray(0, Math.min(length, HEADER_SIZE)).forEach((byte, at) => void header.setUint8(at, byte));
  const u32 = (at: number): number => header.getUint32(at, true);
  if (header.getUint16(0, true) !== BTF_MAGIC) invalid("Invalid magic");
  if (header.getUint8(2) !== 1) throw new BpfError("ENOTSUPP", "Unsupported version");
  if (header.getUint8(3) !== 0) throw new BpfError("ENOTSUPP", "Unsupported flags");
  if (bytes.length === length) invalid("No data");
  const [typeOffset, typeLength, stringOffset, stringLength] = [u32(8), u32(12), u32(16), u32(20)];
  const sections = [
    [typeOffset, typeLength],
    [stringOffset, stringLength],
  ].sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0) || (a[1] ?? 0) - (b[1] ?? 0));
  const expected = bytes.length - length;
  let total = 0;
  for (const [offset = 0, size = 0] of sections) {
    if (expected < offset) invalid("Invalid section offset");
    if (total < offset) invalid("Unsupported section found");
    if (total > offset) invalid("Section overlap found");
    if (expected - total < size) invalid("Total section length too long");
    total += size;
  }
  if (expected !== total) invalid("Unsupported section found");
  const stringStart = length + stringOffset;
  if (stringStart + stringLength !== bytes.length) invalid("String section is not at the end");
  if (
    stringLength === 0 ||
    stringLength - 1 > MOST_NAME_OFFSET ||
    bytes[bytes.length - 1] !== 0 ||
    bytes[stringStart] !== 0
  )
    invalid("Invalid string section");
  if (typeOffset % 4 !== 0) invalid("Unaligned type_off");
  if (typeLength === 0) invalid("No type found");
  return { typeStart: length + typeOffset, typeLength, stringStart, stringLength };
}
