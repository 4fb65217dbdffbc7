import { BpfError } from "../errors.js";
import { finish, inTurns, type Work } from "../work.js";
import { decodeType, type Source } from "./decode.js";
import { viewOf } from "./header.js";
import { countOf, indexTypes, kindOf, type TypeIndex } from "./index-types.js";
import { BtfKind, isModifier } from "./kinds.js";
import { essentialName, NameIndex } from "./names.js";
import type { BtfType, BtfVoid } from "./types.js";

/** Typedefs and qualifiers one behind another (MAX_RESOLVE_DEPTH). */
export const MOST_LINKS = 32;
/** Characters of a name (KSYM_NAME_LEN). */
const NAME_MOST = 512;
/** Decoded types and names that are kept. */
const KEPT = 4096;

const VOID: BtfVoid = { id: 0, kind: BtfKind.Void, name: "" };

/**
 * Type information: a kernel's, a module's (split: over the kernel's), or an object's. Whatever the bytes are, nothing is
 * read outside them and no search goes on for ever. Types are decoded when they are asked for.
 */
export class Btf {
  /** Number of the first type that is not the base's; 1 without base. */
  readonly firstId: number;
  /** Numbers of types go up to this, exclusive; void counts. */
  readonly count: number;
  readonly #view: DataView;
  readonly #index: TypeIndex;
  #names: NameIndex | null;
  readonly #types = new Map<number, BtfType>();
  readonly #strings = new Map<number, string>();
  readonly #source: Source;
  readonly #firstString: number;

  /**
   * @param bytes from the header on; they are kept, not copied
   * @param base what these types continue: numbers of types and offsets of names go on where it ends
   * @throws {BpfError} EINVAL, ENOTSUPP or E2BIG if they are no type information, or of a kind whose size is not known
   */
  constructor(
    readonly bytes: Uint8Array,
    readonly base: Btf | null = null,
    index: TypeIndex = finish(indexTypes(bytes, base !== null)),
    names: NameIndex | null = null,
  ) {
    this.#view = viewOf(bytes);
    this.#index = index;
    this.#names = names;
    this.firstId = base?.count ?? 1;
    this.count = this.firstId + index.offsets.length;
    this.#firstString = base?.stringBytes ?? 0;
    this.#source = { view: this.#view, string: (offset) => this.string(offset) };
  }

  /** As the constructor, in pieces, names included. @throws {BpfError} as the constructor */
  static *read(bytes: Uint8Array, base: Btf | null = null): Work<Btf> {
    const index = yield* indexTypes(bytes, base !== null);
    return new Btf(bytes, base, index, yield* NameIndex.build(bytes, index, base));
  }

  /** As the constructor, in turns of the event loop. Rejects as it throws. */
  static parse(bytes: Uint8Array, base: Btf | null = null): Promise<Btf> {
    return inTurns(Btf.read(bytes, base));
  }

  /** Bytes of strings, the base's included. */
  get stringBytes(): number {
    const { start, end } = this.#index.header.strings;
    return this.#firstString + end - start;
  }

  /** The kind of a type as the bytes say it; numbers above `NEWEST_KIND` are newer than this reader. @throws {BpfError} EINVAL */
  kind(id: number): number {
    if (id === 0) return BtfKind.Void;
    return id < this.firstId && this.base !== null ? this.base.kind(id) : kindOf(this.#info(id));
  }

  /** How many members, parameters or values a type has. @throws {BpfError} EINVAL */
  elements(id: number): number {
    if (id === 0) return 0;
    return id < this.firstId && this.base !== null ? this.base.elements(id) : countOf(this.#info(id));
  }

  /** The name of a type; empty if it has none. @throws {BpfError} EINVAL */
  name(id: number): string {
    if (id === 0) return "";
    if (id < this.firstId && this.base !== null) return this.base.name(id);
    return this.string(this.#view.getUint32(this.#at(id), true));
  }

  /** A type, decoded; 0 is void. @throws {BpfError} EINVAL if there is none of that number */
  type(id: number): BtfType {
    if (id === 0) return VOID;
    if (id < this.firstId && this.base !== null) return this.base.type(id);
    let type = this.#types.get(id);
    if (type === undefined) {
      type = decodeType(this.#source, id, this.#at(id));
      if (this.#types.size === KEPT) this.#types.clear();
      this.#types.set(id, type);
    }
    return type;
  }

  /** The string at an offset, 512 characters at most. Every byte is a character: names are ASCII. @throws {BpfError} EINVAL outside of the strings */
  string(offset: number): string {
    if (offset < this.#firstString && this.base !== null) return this.base.string(offset);
    if (offset === 0) return "";
    let text = this.#strings.get(offset);
    if (text === undefined) {
      text = this.#readString(offset);
      if (this.#strings.size === KEPT) this.#strings.clear();
      this.#strings.set(offset, text);
    }
    return text;
  }

  /** Numbers of the types of that name, rising; of one kind only if it is given. */
  all(name: string, kind?: BtfKind): number[] {
    return this.#byEssential(essentialName(name)).filter(
      (id) => this.name(id) === name && (kind === undefined || this.kind(id) === kind),
    );
  }

  /** The first type of that name and kind; null if there is none. */
  find(name: string, kind?: BtfKind): number | null {
    return this.all(name, kind)[0] ?? null;
  }

  /** Numbers of the types whose name without flavour (`___v2`) is `essential`, rising, and not less than `from`. */
  flavours(essential: string, from = 1): number[] {
    return this.#byEssential(essential).filter((id) => id >= from && essentialName(this.name(id)) === essential);
  }

  /** Through typedefs, qualifiers and tags to what the type is. @throws {BpfError} EINVAL for links without end */
  resolve(id: number): number {
    let current = id;
    for (let links = 0; links <= MOST_LINKS; links++) {
      if (!isModifier(this.kind(current))) return current;
      current = this.target(current);
    }
    throw new BpfError("EINVAL", `type ${id} leads through more than ${MOST_LINKS} others`);
  }

  /** What {@link resolve} leads to, decoded. @throws {BpfError} EINVAL */
  resolved(id: number): BtfType {
    return this.type(this.resolve(id));
  }

  /** The number that a type has in the place of its size: what a pointer points to, a typedef stands for. @throws {BpfError} EINVAL */
  target(id: number): number {
    if (id < this.firstId && this.base !== null) return this.base.target(id);
    return this.#view.getUint32(this.#at(id) + 8, true);
  }

  #byEssential(essential: string): number[] {
    this.#names ??= finish(NameIndex.build(this.bytes, this.#index, this.base));
    const found = this.base === null ? [] : this.base.#byEssential(essential);
    for (const k of this.#names.candidates(essential)) found.push(this.firstId + k);
    return found;
  }

  #info(id: number): number {
    return this.#view.getUint32(this.#at(id) + 4, true);
  }

  #at(id: number): number {
    const at = this.#index.offsets[id - this.firstId];
    if (at === undefined) throw new BpfError("EINVAL", `Invalid type_id ${id}: there are ${this.count}`);
    return at;
  }

  #readString(offset: number): string {
    const { start, end } = this.#index.header.strings;
    const first = start + offset - this.#firstString;
    if (!(first < end))
      throw new BpfError("EINVAL", `Invalid name_offset:${offset}: strings have ${end - start} bytes`);
    let text = "";
    for (let at = first; at < end && text.length < NAME_MOST; at++) {
      const byte = this.bytes[at] as number;
      if (byte === 0) break;
      text += String.fromCharCode(byte);
    }
    return text;
  }
}
