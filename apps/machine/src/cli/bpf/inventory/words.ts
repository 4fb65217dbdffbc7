import { UsageError } from "../../errors.js";
import type { Handle, Query, Subject } from "./query.js";

/** What was asked on the command line, besides where. */
export interface Asked {
  readonly query: Query;
  /** An object of clang's; null if none was named. */
  readonly object: string | null;
  /** With the bytes of instructions. */
  readonly opcodes: boolean;
  /** Of `btf dump file`: a file of type information. */
  readonly file: string | null;
}

/** What may stand behind a command: how one is told which is meant, and other words. */
interface Grammar {
  readonly handles: readonly ("id" | "name" | "tag")[];
  readonly words: readonly ("opcodes" | "key" | "file" | "format")[];
  readonly form: string;
}

/** Reads words as bpftool has them. An object may stand anywhere among them. */
class Words {
  #at = 0;

  constructor(
    readonly list: readonly string[],
    readonly form: string,
  ) {}

  get next(): string | undefined {
    return this.list[this.#at];
  }

  take(): string | undefined {
    return this.list[this.#at++];
  }

  /** @throws {UsageError} if there is none */
  value(behind: string): string {
    const word = this.take();
    if (word !== undefined) return word;
    throw new UsageError(`${behind}: nothing behind it: expected ${this.form}`);
  }

  number(behind: string): number {
    const word = this.value(behind);
    const value = /^(?:0x[0-9a-f]+|\d+)$/i.test(word) ? Number(word) : Number.NaN;
    if (value < 2 ** 32) return value;
    throw new UsageError(`${behind} ${word}: expected a number from 0 to 4294967295`);
  }

  /** Bytes as bpftool has them: `01 00 0xff`, or `hex 01 00 ff`, or all in one, `0x0100ff`. @returns hexadecimal digits */
  bytes(): string {
    const hex = this.next === "hex";
    if (hex) this.take();
    let digits = "";
    for (let word = this.next; word !== undefined; word = this.next) {
      const byte = byteDigits(word, hex);
      if (byte === null) break;
      digits += byte;
      this.take();
    }
    if (digits === "")
      throw new UsageError(`key ${this.next ?? ""}: expected bytes, as in key 01 00 00 00 or key hex 0a 00 00 00`);
    return digits;
  }
}

function byteDigits(word: string, hex: boolean): string | null {
  const [, whole] = /^0x((?:[0-9a-f]{2})+)$/i.exec(word) ?? [];
  if (whole !== undefined) return whole;
  const pattern = hex ? /^[0-9a-f]{1,2}$/i : /^(?:0x[0-9a-f]|\d{1,3})$/i;
  if (!pattern.test(word)) return null;
  const octal = !hex && /^0[0-7]+$/.test(word);
  const value = hex ? Number.parseInt(word, 16) : octal ? Number.parseInt(word, 8) : Number(word);
  if (!(value <= 255)) throw new UsageError(`key: ${word}: expected a byte, 0 to 255`);
  return value.toString(16).padStart(2, "0");
}

const NO_FORM = "an object of clang's, or --machine SOCKET";
const GRAMMARS: Readonly<Record<string, Grammar>> = {
  "prog show": { handles: ["id", "name", "tag"], words: [], form: "[FILE.bpf.o] [id N | name NAME | tag TAG]" },
  "prog dump": {
    handles: ["id", "name", "tag"],
    words: ["opcodes"],
    form: "xlated [FILE.bpf.o] id N|name NAME [opcodes]",
  },
  "map show": { handles: ["id", "name"], words: [], form: "[FILE.bpf.o] [id N | name NAME]" },
  "map dump": { handles: ["id", "name"], words: [], form: "[FILE.bpf.o] id N|name NAME" },
  "map lookup": { handles: ["id", "name"], words: ["key"], form: "[FILE.bpf.o] id N|name NAME key [hex] BYTES" },
  "btf show": { handles: ["id"], words: [], form: "[FILE.bpf.o] [id N]" },
  "btf dump": { handles: ["id"], words: ["file", "format"], form: "[FILE.bpf.o] id N | file FILE [format raw]" },
  "link show": { handles: ["id"], words: [], form: "[id N]" },
};

/** What the words behind `vm bpf SUBJECT COMMAND` ask. @throws {UsageError} */
export function parseWords(subject: Subject, command: Query["command"], list: readonly string[]): Asked {
  const grammar = GRAMMARS[`${subject} ${command}`] as Grammar;
  const words = new Words(list, grammar.form);
  if (subject === "prog" && command === "dump") checkForm(words);
  let handle: Handle | null = null;
  let key: string | null = null;
  let object: string | null = null;
  let file: string | null = null;
  let opcodes = false;
  const isHandle = (word: string): word is "id" | "name" | "tag" => grammar.handles.includes(word as "id");
  const isWord = (word: string, one: Grammar["words"][number]): boolean => word === one && grammar.words.includes(one);
  for (let word = words.take(); word !== undefined; word = words.take()) {
    if (isHandle(word)) {
      if (handle !== null) throw new UsageError(`${word}: which one is meant has been said: expected ${grammar.form}`);
      handle = handleOf(word, words);
    } else if (isWord(word, "opcodes")) opcodes = true;
    else if (isWord(word, "key")) key = words.bytes();
    else if (isWord(word, "file")) file = words.value("file");
    else if (isWord(word, "format")) checkFormat(words.value("format"));
    else if (object === null) object = word;
    else throw new UsageError(`${word}: expected ${grammar.form}`);
  }
  if (file !== null && (handle ?? object) !== null) throw new UsageError(`file ${file}: expected nothing else besides`);
  if (command !== "show" && handle === null && file === null)
    throw new UsageError(`vm bpf ${subject} ${command}: which one? Expected ${grammar.form}`);
  if (command === "lookup" && key === null) throw new UsageError(`vm bpf map lookup: no key: expected ${grammar.form}`);
  return { query: { subject, command, handle, key }, object, opcodes, file };
}

function handleOf(word: "id" | "name" | "tag", words: Words): Handle {
  if (word === "id") return { id: words.number("id") };
  const value = words.value(word);
  if (word === "name") return { name: value };
  if (/^[0-9a-f]{16}$/i.test(value)) return { tag: value.toLowerCase() };
  throw new UsageError(`tag ${value}: expected 16 hexadecimal digits`);
}

function checkForm(words: Words): void {
  const form = words.take();
  if (form === "xlated") return;
  if (form === "jited")
    throw new UsageError("prog dump jited: programs become WebAssembly, which nobody takes apart: expected xlated");
  throw new UsageError(`prog dump ${form ?? ""}: expected ${words.form}`);
}

function checkFormat(format: string): void {
  if (format === "raw") return;
  if (format === "c") throw new UsageError("format c: types are not written as C: expected format raw");
  throw new UsageError(`format ${format}: expected raw`);
}

/** @throws {UsageError} unless exactly one place is named */
export function onePlace(object: string | null, machine: string | undefined): void {
  if (object !== null && machine !== undefined)
    throw new UsageError(`${object} and --machine ${machine}: expected one of them`);
  if (object === null && machine === undefined) throw new UsageError(`where? Expected ${NO_FORM}`);
}
