import { BtfKind } from "../../src/btf/kinds.js";

/** A member: name, number of its type, bits from the start, bits of a bit field. */
export type MemberRow = readonly [name: string, type: number, bitOffset: number, bitSize?: number];

/** Writes type information by hand; the numbers of types are what its methods return. */
export class BtfBuilder {
  readonly #words: number[] = [];
  readonly #offsets = new Map<string, number>();
  #strings = "\0";
  #next: number;
  readonly #stringBase: number;

  /** @param firstId and @param stringBase of split type information: what the base ends at */
  constructor(firstId = 1, stringBase = 0) {
    this.#next = firstId;
    this.#stringBase = stringBase;
    if (stringBase > 0) this.#strings = "";
  }

  /** Offset of a name; the same name has one place. */
  string(text: string): number {
    if (text === "") return 0;
    let offset = this.#offsets.get(text);
    if (offset === undefined) {
      offset = this.#stringBase + this.#strings.length;
      this.#strings += `${text}\0`;
      this.#offsets.set(text, offset);
    }
    return offset;
  }

  /** A type as its words are. */
  raw(kind: number, name: string, count: number, word: number, more: readonly number[] = [], flag = false): number {
    const info = ((flag ? 0x80000000 : 0) | (kind << 24) | count) >>> 0;
    this.#words.push(this.string(name), info, word, ...more);
    return this.#next++;
  }

  int(name: string, size: number, encoding = 0, bits = 8 * size, offset = 0): number {
    return this.raw(BtfKind.Int, name, 0, size, [(encoding << 24) | (offset << 16) | bits]);
  }

  ptr = (type: number): number => this.raw(BtfKind.Ptr, "", 0, type);
  typedef = (name: string, type: number): number => this.raw(BtfKind.Typedef, name, 0, type);
  const = (type: number): number => this.raw(BtfKind.Const, "", 0, type);
  volatile = (type: number): number => this.raw(BtfKind.Volatile, "", 0, type);
  restrict = (type: number): number => this.raw(BtfKind.Restrict, "", 0, type);
  typeTag = (name: string, type: number): number => this.raw(BtfKind.TypeTag, name, 0, type);
  float = (name: string, size: number): number => this.raw(BtfKind.Float, name, 0, size);
  fwd = (name: string, union = false): number => this.raw(BtfKind.Fwd, name, 0, 0, [], union);
  func = (name: string, proto: number, linkage = 1): number => this.raw(BtfKind.Func, name, linkage, proto);
  var = (name: string, type: number, linkage = 1): number => this.raw(BtfKind.Var, name, 0, type, [linkage]);
  array = (type: number, index: number, count: number): number =>
    this.raw(BtfKind.Array, "", 0, 0, [type, index, count]);

  declTag(name: string, type: number, component = -1): number {
    return this.raw(BtfKind.DeclTag, name, 0, type, [component >>> 0]);
  }

  struct = (name: string, size: number, members: readonly MemberRow[]): number =>
    this.#composite(BtfKind.Struct, name, size, members);
  union = (name: string, size: number, members: readonly MemberRow[]): number =>
    this.#composite(BtfKind.Union, name, size, members);

  enum(name: string, values: readonly (readonly [string, number])[], signed = false, size = 4): number {
    const words = values.flatMap(([text, value]) => [this.string(text), value >>> 0]);
    return this.raw(BtfKind.Enum, name, values.length, size, words, signed);
  }

  enum64(name: string, values: readonly (readonly [string, bigint])[], signed = false): number {
    const words = values.flatMap(([text, value]) => [
      this.string(text),
      Number(BigInt.asUintN(32, value)),
      Number(BigInt.asUintN(32, value >> 32n)),
    ]);
    return this.raw(BtfKind.Enum64, name, values.length, 8, words, signed);
  }

  proto(returns: number, params: readonly (readonly [string, number])[] = []): number {
    const words = params.flatMap(([name, type]) => [this.string(name), type]);
    return this.raw(BtfKind.FuncProto, "", params.length, returns, words);
  }

  datasec(
    name: string,
    size: number,
    variables: readonly (readonly [type: number, offset: number, size: number])[],
  ): number {
    return this.raw(BtfKind.Datasec, name, variables.length, size, variables.flat());
  }

  /** @param layout of newer kinds: bytes once and each, from the first kind that is not known on */
  build(layout?: readonly (readonly [number, number])[]): Uint8Array {
    const types = 4 * this.#words.length;
    const table = layout === undefined ? [] : [...Array.from({ length: 20 }, () => [0, 0] as const), ...layout];
    const header = layout === undefined ? 24 : 32;
    const bytes = new Uint8Array(header + types + this.#strings.length + 4 * table.length);
    const view = new DataView(bytes.buffer);
    const strings = header + types;
    [0x0001eb9f, header, 0, types, types, this.#strings.length].forEach(
      (word, k) => void view.setUint32(4 * k, word, true),
    );
    if (layout !== undefined) {
      view.setUint32(24, types + this.#strings.length, true);
      view.setUint32(28, 4 * table.length, true);
    }
    this.#words.forEach((word, k) => void view.setUint32(header + 4 * k, word, true));
    for (let k = 0; k < this.#strings.length; k++) bytes[strings + k] = this.#strings.charCodeAt(k);
    table.forEach(([once, each], k) => void bytes.set([once, each], strings + this.#strings.length + 4 * k));
    return bytes;
  }

  #composite(kind: number, name: string, size: number, members: readonly MemberRow[]): number {
    const fields = members.some(([, , , bits]) => bits !== undefined);
    const words = members.flatMap(([text, type, offset, bits = 0]) => [
      this.string(text),
      type,
      fields ? ((bits << 24) | offset) >>> 0 : offset,
    ]);
    return this.raw(kind, name, members.length, size, words, fields);
  }
}
