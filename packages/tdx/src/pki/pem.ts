import { PkiError } from "./errors.js";

const BEGIN = "-----BEGIN CERTIFICATE-----";
const END = "-----END CERTIFICATE-----";
/** Characters of base64 a line: RFC 7468, 2. */
const LINE = 64;
/** Bytes of text that are looked at. A chain of Intel's has 3,700. */
const LONGEST = 65_536;

const fail = (message: string): never => {
  throw new PkiError("pem", message);
};

/**
 * The certificates in a text, in DER, in order. The text is PEM as RFC 7468 says it has to be generated and nothing else: lines of 64 characters,
 * ended by LF or CRLF; empty lines and then zero bytes may follow a certificate, as they do in quotes. Nothing of the text is free to be
 * changed, except for these.
 *
 * @throws {PkiError} `pem` for another text, and for more than `most` certificates
 */
export function parsePem(text: Uint8Array | string, most: number): Uint8Array[] {
  if (text.length > LONGEST) fail(`a text of ${text.length} bytes; at most ${LONGEST} are read`);
  const characters = typeof text === "string" ? text : new TextDecoder("latin1").decode(text);
  let end = characters.length;
  while (end > 0 && characters[end - 1] === "\0") end--;
  const lines = characters.slice(0, end).split(/\r?\n/);
  const found: Uint8Array[] = [];
  let inside: string[] | undefined;
  for (const [i, line] of lines.entries()) {
    if (inside === undefined) {
      if (line === BEGIN) inside = [];
      else if (line !== "" || found.length === 0) fail(`line ${i + 1} is not the begin of a certificate`);
    } else if (line === END) {
      if (found.push(decodeLines(inside)) > most) fail(`more than ${most} certificates`);
      inside = undefined;
    } else inside.push(line);
  }
  return inside === undefined ? found : fail("a certificate without an end");
}

function decodeLines(lines: readonly string[]): Uint8Array {
  const last = lines.length - 1;
  if (lines.some((line, i) => (i < last ? line.length !== LINE : line.length === 0 || line.length > LINE)))
    fail("base64 in lines of another length than 64");
  return decodeBase64(lines.join(""));
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES: ReadonlyMap<string, number> = new Map([...ALPHABET].map((character, value) => [character, value]));

function decodeBase64(text: string): Uint8Array {
  const padding = /={0,2}$/.exec(text)?.[0].length ?? 0;
  if (text.length === 0 || text.length % 4 !== 0) fail("base64 that is not of groups of four");
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let count = 0;
  let at = 0;
  for (const character of text.slice(0, text.length - padding)) {
    bits = (bits << 6) | (VALUES.get(character) ?? fail("a character that base64 does not have"));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes[at++] = bits >> count;
    bits &= (1 << count) - 1;
  }
  return bits === 0 ? bytes : fail("base64 with bits behind the last byte");
}

/** A certificate as {@link parsePem} reads it, with LF at the end of the last line too. */
export function writePem(der: Uint8Array): string {
  let text = "";
  for (let i = 0; i < der.length; i += 3) {
    const [a = 0, b = 0, c = 0] = der.subarray(i, i + 3);
    const group = (a << 16) | (b << 8) | c;
    const left = der.length - i;
    const digits = [18, 12, 6, 0].map((shift) => ALPHABET[(group >> shift) & 63]).join("");
    text += left === 1 ? `${digits.slice(0, 2)}==` : left === 2 ? `${digits.slice(0, 3)}=` : digits;
  }
  return `${BEGIN}\n${(text.match(/.{1,64}/g) ?? []).join("\n")}\n${END}\n`;
}
