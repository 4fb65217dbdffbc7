import { BtfKind } from "../../src/btf/kinds.js";
import { findMember } from "../../src/btf/member.js";
import { sizeOf } from "../../src/btf/size.js";
import { type Arena, type Btf, KERNEL_HIGH } from "../../src/index.js";

/** Where a field is in its structure, bytes. */
interface Field {
  readonly offset: number;
  readonly size: number;
}

/** The pointer to an offset in the arena, as a word of 64 bits; 0 for 0. */
export const pointer = (at: number): bigint => (at === 0 ? 0n : (BigInt(KERNEL_HIGH) << 32n) | BigInt(at));

/** Objects in the arena that are laid out as the types of a kernel say. */
export class Objects {
  readonly #fields = new Map<string, Field>();
  readonly #structs = new Map<string, number>();

  constructor(
    readonly arena: Arena,
    readonly btf: Btf,
  ) {}

  /** @throws {RangeError} if the kernel has no such structure */
  #struct(name: string): number {
    const id = this.#structs.get(name) ?? this.btf.find(name, BtfKind.Struct);
    if (id === null) throw new RangeError(`the kernel has no struct ${name}`);
    this.#structs.set(name, id);
    return id;
  }

  has(struct: string): boolean {
    return this.btf.find(struct, BtfKind.Struct) !== null;
  }

  /** A new object of zeros. */
  make(struct: string): number {
    const at = this.arena.alloc(sizeOf(this.btf, this.#struct(struct)));
    if (at === 0) throw new RangeError(`no memory for a struct ${struct}`);
    return at;
  }

  /** Bytes from the start of a structure to a field. @param path `struct.member.member` @throws {RangeError} if there is none */
  offset(path: string): number {
    return this.#field(path).offset;
  }

  #field(path: string): Field {
    const known = this.#fields.get(path);
    if (known !== undefined) return known;
    const [struct = "", ...members] = path.split(".");
    const found = findMember(this.btf, this.#struct(struct), members.join("."));
    if (found === null || found.bitSize !== 0) throw new RangeError(`the kernel has no ${path}`);
    const field = { offset: found.bitOffset / 8, size: sizeOf(this.btf, found.type) };
    this.#fields.set(path, field);
    return field;
  }

  /** A number of 1, 2, 4 or 8 bytes in an object. */
  get(at: number, path: string): number {
    const { offset, size } = this.#field(path);
    const { view } = this.arena;
    if (size === 1) return view.getUint8(at + offset);
    if (size === 2) return view.getUint16(at + offset, true);
    return size === 8 ? Number(view.getBigUint64(at + offset, true)) : view.getUint32(at + offset, true);
  }

  set(at: number, path: string, value: number | bigint): void {
    const { offset, size } = this.#field(path);
    const { view } = this.arena;
    if (size === 1) view.setUint8(at + offset, Number(value));
    else if (size === 2) view.setUint16(at + offset, Number(value), true);
    else if (size === 8) view.setBigUint64(at + offset, BigInt(value), true);
    else view.setUint32(at + offset, Number(value), true);
  }

  /** The object that a field points to; 0 for none. */
  follow(at: number, path: string): number {
    return this.arena.u32(at + this.offset(path));
  }

  point(at: number, path: string, to: number): void {
    this.set(at, path, pointer(to));
  }

  /** A text, with a 0 behind it. */
  text(at: number, path: string, text: string): void {
    const { offset, size } = this.#field(path);
    this.arena.u8.set(new TextEncoder().encode(text).subarray(0, size - 1), at + offset);
  }
}
