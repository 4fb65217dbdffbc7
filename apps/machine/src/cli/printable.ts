/**
 * Characters that do something to a terminal or to the text around them, or that nobody sees: controls (C0, DEL, C1), formats (among them
 * those that turn the direction of writing), line and paragraph separators, halves of surrogate pairs, private and unassigned ones.
 */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/gu;
/** A byte that is no UTF-8, as `decodeText` of @vm/kvmi has it. */
const NO_UTF8 = 0xdc00;

/**
 * Text of a guest, a disk, a kernel image or a tool as it may be shown to a person: one line, whatever it holds. `\x1b` stands for a control
 * character or a byte that is no UTF-8, `\u202e` or `\u{e0041}` for another character that cannot be seen. Backslashes stay as they are.
 * What has been through it once stays as it is.
 */
export const printable = (text: string): string => text.replace(UNSEEN, (character) => escaped(character));

/** As {@link printable}, for text of several lines: line feeds and tabs stay. */
export const printableLines = (text: string): string =>
  text.replace(UNSEEN, (character) => (character === "\n" || character === "\t" ? character : escaped(character)));

/** JSON in which what cannot be seen is escaped as JSON has it. `json` holds such characters in strings only, and line feeds between. */
export const printableJson = (json: string): string =>
  json.replace(UNSEEN, (character) => (character === "\n" ? character : units(character)));

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x100) return `\\x${hex(code, 2)}`;
  if (code >= NO_UTF8 + 0x80 && code <= NO_UTF8 + 0xff) return `\\x${hex(code - NO_UTF8, 2)}`;
  return code > 0xffff ? `\\u{${hex(code, 5)}}` : `\\u${hex(code, 4)}`;
}

/** By UTF-16 code units. */
const units = (character: string): string =>
  Array.from({ length: character.length }, (_, k) => `\\u${hex(character.charCodeAt(k), 4)}`).join("");

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");

/** A log that comes in pieces of bytes, for a person to read: as {@link printableLines}, without the returns that serial lines have before line feeds. */
export class PrintableLog {
  readonly #decoder = new TextDecoder();
  readonly #show: (text: string) => void;

  constructor(show: (text: string) => void) {
    this.#show = show;
  }

  push(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true }).replaceAll("\r", "");
    if (text !== "") this.#show(printableLines(text));
  }
}
