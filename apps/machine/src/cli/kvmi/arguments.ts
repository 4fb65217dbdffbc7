import { type GuestReader, type Prototype, type Registers, UnmappedError, type ValueType } from "@vm/kvmi";
import { printable } from "../printable.js";
import { errorText } from "./errno-names.js";
import { hex, orPointer, pointer, quoted, stringAt } from "./quoted.js";

/** Bytes of a string that are shown, and characters of a name. */
const STRING_MOST = 64;
/** Unsigned numbers from here on are shown in hexadecimal. */
const HEX_FROM = 0x10000n;
const WORD = 8;
/** Bytes of an aggregate that come in registers. */
const IN_REGISTERS = 16;
/** Characters that a text has which is one. */
const READABLE = /^[^\p{C}\p{Zl}\p{Zp}]*$/u;

/**
 * The arguments of a call, at the function's first instruction, by its prototype: as the System V ABI passes numbers, pointers and structures of them.
 * Without a prototype, the first three registers.
 */
export async function argumentsText(
  prototype: Prototype | null,
  regs: Registers,
  reader: GuestReader,
): Promise<string> {
  if (prototype === null) return `rdi=${hex(regs.rdi)}, rsi=${hex(regs.rsi)}, rdx=${hex(regs.rdx)}, ...`;
  const words = new ArgumentWords(regs, reader);
  const parts: string[] = [];
  for (const { name, type } of prototype.parameters) {
    const value = await words.take(type);
    const text = value === null ? "{...}" : await valueText(type, value, reader);
    parts.push(name === "" ? text : `${printable(name.slice(0, STRING_MOST))}=${text}`);
  }
  return [...parts, ...(prototype.variadic ? ["..."] : [])].join(", ");
}

/** The result of a call, in RAX. */
export function resultText(type: ValueType | null, rax: bigint): string {
  switch (type?.kind) {
    case "void":
      return "void";
    case "int":
    case "enum": {
      const value = sized(type, rax);
      return errorText(value) ?? number(type, value);
    }
    case "pointer":
      return errorPointer(rax) ?? pointer(rax);
    default:
      return hex(rax);
  }
}

/** Where arguments are, one after the other. */
class ArgumentWords {
  readonly #regs: readonly bigint[];
  readonly #reader: GuestReader;
  /** Of the next word of memory. */
  #stack: bigint;
  #next = 0;

  constructor({ rdi, rsi, rdx, rcx, r8, r9, rsp }: Registers, reader: GuestReader) {
    this.#regs = [rdi, rsi, rdx, rcx, r8, r9];
    this.#reader = reader;
    // The return address is first.
    this.#stack = BigInt.asUintN(64, rsp + BigInt(WORD));
  }

  /** The next argument, if it is of one word; null if it is larger, or where nothing is mapped. */
  async take(type: ValueType): Promise<bigint | null> {
    const size = type.kind === "aggregate" ? type.size : WORD;
    const words = Math.ceil(size / WORD);
    const left = this.#regs.length - this.#next;
    if (size <= IN_REGISTERS && words <= left) {
      const value = this.#regs[this.#next] ?? 0n;
      this.#next += words;
      return words === 1 ? value : null;
    }
    const at = this.#stack;
    this.#stack = BigInt.asUintN(64, at + BigInt(words * WORD));
    if (words !== 1) return null;
    return this.#reader.u64(at).catch((error: unknown) => {
      if (error instanceof UnmappedError) return null;
      throw error;
    });
  }
}

async function valueText(type: ValueType, value: bigint, reader: GuestReader): Promise<string> {
  switch (type.kind) {
    case "int":
    case "enum":
      return number(type, sized(type, value));
    case "pointer":
      if (errorPointer(value) !== null || !type.text) return errorPointer(value) ?? pointer(value);
      return type.constant ? stringAt(reader, value, STRING_MOST) : likelyString(reader, value);
    default:
      return hex(value);
  }
}

/** What a function may write to: a text, if there is one already that can be read. */
const likelyString = (reader: GuestReader, address: bigint): Promise<string> =>
  orPointer(address, async () => {
    const { bytes, whole } = await reader.cString(address, STRING_MOST);
    const text = new TextDecoder().decode(bytes);
    return whole && text !== "" && !text.includes("\ufffd") && READABLE.test(text) ? quoted(bytes) : pointer(address);
  });

type Numeric = Extract<ValueType, { readonly kind: "int" | "enum" }>;

const sized = ({ size, signed }: Numeric, value: bigint): bigint => {
  const bits = 8 * Math.min(Math.max(size, 1), WORD);
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
};

function number(type: Numeric, value: bigint): string {
  if (type.kind === "enum") {
    const name = type.nameOf(value);
    return name === null ? `${value}` : printable(name.slice(0, STRING_MOST));
  }
  if (type.bool) return value === 0n ? "false" : "true";
  return type.signed || value < HEX_FROM ? `${value}` : hex(value);
}

/** A pointer that is an error (ERR_PTR); null if it is none. */
function errorPointer(value: bigint): string | null {
  const error = errorText(BigInt.asIntN(64, value));
  return error === null ? null : `ERR_PTR(${error})`;
}
