import { type Btf, BtfKind, type BtfType, IntEncoding, sizeOf } from "@vm/bpf-storage";
import { type Json, Members, Raw } from "./json.js";

/** Types one within another, and values of one element at most. */
const DEPTH_MOST = 64;
const VALUES_MOST = 4 << 20;

/** What stands for a type that has no values. */
export class NoValue extends Error {}

/** Shows bytes as values of their types, as bpftool does (`btf_dumper_type`). */
export class ValueReader {
  readonly #btf: Btf;
  readonly #plain: boolean;
  readonly #view: DataView;
  #left = VALUES_MOST;

  /** @param plain as people are shown it: with numbers in hexadecimal that are no JSON */
  constructor(btf: Btf, bytes: Uint8Array, plain: boolean) {
    this.#btf = btf;
    this.#plain = plain;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** @throws {NoValue} for a type without values, or one that goes on behind the bytes; {BpfError} for types that lead nowhere */
  read(id: number): Json {
    return this.#value(id, 0, 0);
  }

  /** @param at bits from the start */
  #value(id: number, at: number, depth: number): Json {
    if (depth > DEPTH_MOST || --this.#left < 0) throw new NoValue("types without end");
    const type = this.#btf.resolved(id);
    const byte = Math.floor(at / 8);
    switch (type.kind) {
      case BtfKind.Int:
        return this.#int(type, at);
      case BtfKind.Ptr: {
        const value = this.#unsigned(byte, 8);
        return this.#plain ? new Raw(value === 0n ? "(nil)" : `0x${value.toString(16)}`) : value;
      }
      case BtfKind.Enum:
      case BtfKind.Enum64: {
        // As the number of a name is written in the types, signed or not.
        const signed = BigInt.asIntN(8 * type.size, this.#unsigned(byte, type.size));
        const found = type.values.find(({ value }) => BigInt.asIntN(8 * type.size, value) === signed);
        return found?.name ?? signed;
      }
      case BtfKind.Array:
        return this.#array(type, byte, depth);
      case BtfKind.Struct:
      case BtfKind.Union:
        return new Members(
          type.members.map(({ name, type: of, bitOffset, bitSize }) => [
            name,
            bitSize > 0 ? this.#bits(at + bitOffset, bitSize) : this.#value(of, at + bitOffset, depth + 1),
          ]),
        );
      case BtfKind.Var:
        return new Members([[type.name, this.#value(type.type, at, depth + 1)]]);
      case BtfKind.Datasec:
        return new Members([
          [type.name, type.variables.map(({ type: of, offset }) => this.#value(of, at + 8 * offset, depth + 1))],
        ]);
      default:
        throw new NoValue(`type ${id} has no values`);
    }
  }

  #int({ bits, bitOffset, encoding, size }: BtfType & { readonly kind: typeof BtfKind.Int }, at: number): Json {
    if (at % 8 !== 0 || bitOffset !== 0 || bits % 8 !== 0 || bits === 128 || ![8, 16, 32, 64].includes(bits))
      return this.#bits(at + bitOffset, bits);
    const byte = at / 8;
    switch (encoding) {
      case IntEncoding.Bool:
        return this.#byte(byte) !== 0;
      case IntEncoding.Char: {
        const code = this.#byte(byte);
        if (code >= 0x20 && code < 0x7f) return String.fromCharCode(code);
        return this.#plain ? new Raw(`0x${code.toString(16)}`) : String.fromCharCode(code);
      }
      case IntEncoding.Signed:
        return BigInt.asIntN(bits, this.#unsigned(byte, size));
      default:
        return this.#unsigned(byte, bits / 8);
    }
  }

  #bits(at: number, bits: number): Json {
    const first = Math.floor(at / 8);
    const last = Math.ceil((at + bits) / 8);
    const value = BigInt.asUintN(bits, this.#unsigned(first, last - first) >> BigInt(at % 8));
    return this.#plain ? new Raw(`0x${value.toString(16)}`) : `0x${value.toString(16)}`;
  }

  #array({ type, count }: BtfType & { readonly kind: typeof BtfKind.Array }, byte: number, depth: number): Json {
    const text = this.#text(type, count, byte);
    if (text !== null) return text;
    const size = sizeOf(this.#btf, type);
    if (count > this.#left) throw new NoValue(`${count} elements`);
    return Array.from({ length: count }, (_, k) => this.#value(type, 8 * (byte + k * size), depth + 1));
  }

  /** What an array of characters holds, if that is a text with an end; a typedef of char is none. */
  #text(element: number, count: number, byte: number): string | null {
    let id = element;
    for (let links = 0; links < DEPTH_MOST && MODIFIERS.has(this.#btf.kind(id)); links++) id = this.#btf.target(id);
    const type = this.#btf.type(id);
    if (type.kind !== BtfKind.Int || type.size !== 1 || (type.encoding !== IntEncoding.Char && type.name !== "char"))
      return null;
    let text = "";
    for (let k = 0; k < count; k++) {
      const code = this.#byte(byte + k);
      if (code === 0) return text;
      if (code <= 0x1f || code >= 0x7f) return null;
      text += String.fromCharCode(code);
    }
    return null;
  }

  #byte(at: number): number {
    if (at >= this.#view.byteLength) throw new NoValue(`byte ${at} of ${this.#view.byteLength}`);
    return this.#view.getUint8(at);
  }

  #unsigned(at: number, size: number): bigint {
    let value = 0n;
    for (let k = size - 1; k >= 0; k--) value = (value << 8n) | BigInt(this.#byte(at + k));
    return value;
  }
}

/** What does not change what the values are, but for typedefs. */
const MODIFIERS: ReadonlySet<number> = new Set([BtfKind.Const, BtfKind.Volatile, BtfKind.Restrict]);
