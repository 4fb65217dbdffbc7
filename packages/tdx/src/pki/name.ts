import { DerReader, readOid, Tag } from "./der-read.js";
import { der, oid, printableString, sequence, utf8String } from "./der-write.js";
import { PkiError } from "./errors.js";
import { Oid } from "./oids.js";

/** A distinguished name. */
export interface Name {
  /** As it is in the certificate or list. Two names are the same if these are. */
  readonly der: Uint8Array;
  /** The common name; "" if there is none. */
  readonly commonName: string;
}

/** Attributes of a name. Longer values than 64 characters are refused, as RFC 5280, A.1, has it for all of those used here. */
const LONGEST = 64;

/** Reads a name of one attribute a step, each at most once. @throws {PkiError} */
export function readName(reader: DerReader, what: string): Name {
  const value = reader.next(Tag.sequence, what);
  const steps = new DerReader(value.content);
  const attributes = new Map<string, string>();
  while (steps.tag >= 0) {
    const step = steps.inside(Tag.set, what);
    const attribute = step.inside(Tag.sequence, what);
    const type = readOid(attribute.next(Tag.oid, what), what);
    if (attributes.has(type)) throw new PkiError("der", `${what}: attribute ${type} twice`);
    attributes.set(type, readString(attribute, what));
    attribute.end(what);
    step.end(what);
  }
  if (attributes.size === 0) throw new PkiError("der", `${what}: an empty name`);
  return { der: value.bytes, commonName: attributes.get(Oid.commonName) ?? "" };
}

function readString(reader: DerReader, what: string): string {
  const printable = reader.tag === Tag.printableString;
  const { content } = reader.next(printable ? Tag.printableString : Tag.utf8String, what);
  const text = decode(content);
  if (text === undefined || (printable && !/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(text)))
    throw new PkiError("der", `${what}: characters that its kind of string does not have`);
  if (text.length === 0 || text.length > LONGEST)
    throw new PkiError("der", `${what}: an attribute of ${text.length} characters; 1 to ${LONGEST} are read`);
  return text;
}

/** Text in UTF-8; undefined for bytes that are not. */
export function decode(bytes: Uint8Array): string | undefined {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  // What cannot be decoded is replaced by U+FFFD, which is fine only where that is what was encoded.
  const back = new TextEncoder().encode(text);
  return back.length === bytes.length && back.every((byte, i) => byte === bytes[i]) ? text : undefined;
}

/** A name as Intel's have it: common name, organization, locality, state and country (two letters). */
export interface NameParts {
  readonly commonName: string;
  readonly organizationName: string;
  readonly localityName: string;
  readonly stateOrProvinceName: string;
  readonly countryName: string;
}

/** The inverse of {@link readName}, for these attributes in this order. */
export function writeName(parts: NameParts): Uint8Array {
  const step = (type: string, value: Uint8Array) => der(Tag.set, sequence(oid(type), value));
  return sequence(
    step(Oid.commonName, utf8String(parts.commonName)),
    step(Oid.organizationName, utf8String(parts.organizationName)),
    step(Oid.localityName, utf8String(parts.localityName)),
    step(Oid.stateOrProvinceName, utf8String(parts.stateOrProvinceName)),
    step(Oid.countryName, printableString(parts.countryName)),
  );
}
