import { DerReader, readBoolean, readNamedBits, readOid, readSmall, readWhole, Tag } from "./der-read.js";
import { boolean, der, integer, namedBits, octetString, oid, sequence } from "./der-write.js";
import { PkiError, type PkiErrorCode } from "./errors.js";
import { Oid } from "./oids.js";

/** Bits of keyUsage: RFC 5280, 4.2.1.3. */
export const KeyUsage = {
  digitalSignature: 1 << 0,
  nonRepudiation: 1 << 1,
  keyCertSign: 1 << 5,
  cRLSign: 1 << 6,
} as const;

/** basicConstraints: RFC 5280, 4.2.1.9. */
export interface BasicConstraints {
  readonly ca: boolean;
  /** How many CAs may be between this one and a leaf; undefined: any number. */
  readonly pathLength: number | undefined;
}

/** Extensions of a certificate that are understood; undefined for those that are not there. */
export interface Extensions {
  readonly subjectKeyId: Uint8Array | undefined;
  readonly authorityKeyId: Uint8Array | undefined;
  /** Bits of {@link KeyUsage}. */
  readonly keyUsage: number | undefined;
  readonly basicConstraints: BasicConstraints | undefined;
  /** Content of Intel's SGX extension, in DER. */
  readonly sgx: Uint8Array | undefined;
}

/** One extension, by its name as an object identifier. */
export interface Extension {
  readonly critical: boolean;
  /** In DER. */
  readonly value: Uint8Array;
}

/**
 * Reads a SEQUENCE OF Extension, of which none may be there twice, and none may be critical that is not in `understood`.
 *
 * @throws {PkiError} with code `kind`, or `der`
 */
export function readExtensions(
  reader: DerReader,
  understood: readonly string[],
  kind: PkiErrorCode,
): ReadonlyMap<string, Extension> {
  const found = new Map<string, Extension>();
  while (reader.tag >= 0) {
    const one = reader.inside(Tag.sequence, "extension");
    const id = readOid(one.next(Tag.oid, "extension"), "extension");
    const flag = one.optional(Tag.boolean, id);
    if (flag !== undefined && !readBoolean(flag, id))
      throw new PkiError("der", `extension ${id}: a default is encoded`);
    const { content } = one.next(Tag.octetString, id);
    one.end(`extension ${id}`);
    if (found.has(id)) throw new PkiError(kind, `extension ${id} is there twice`);
    const critical = flag !== undefined;
    if (critical && !understood.includes(id))
      throw new PkiError(kind, `extension ${id} is critical and not one that is understood`);
    found.set(id, { critical, value: content });
  }
  if (found.size === 0) throw new PkiError("der", "an empty list of extensions");
  return found;
}

const UNDERSTOOD = [Oid.keyUsage, Oid.basicConstraints, Oid.sgx];

/** Reads the extensions of a certificate. @throws {PkiError} */
export function readCertificateExtensions(reader: DerReader): Extensions {
  const found = readExtensions(reader, UNDERSTOOD, "certificate");
  const read = <T>(id: string, parse: (value: Uint8Array) => T): T | undefined => {
    const extension = found.get(id);
    return extension && parse(extension.value);
  };
  return {
    subjectKeyId: read(Oid.subjectKeyIdentifier, readSubjectKeyId),
    authorityKeyId: read(Oid.authorityKeyIdentifier, readAuthorityKeyId),
    keyUsage: read(Oid.keyUsage, readKeyUsage),
    basicConstraints: read(Oid.basicConstraints, readBasicConstraints),
    sgx: found.get(Oid.sgx)?.value,
  };
}

function readOne(value: Uint8Array, tag: number, what: string) {
  const reader = new DerReader(value);
  const one = reader.next(tag, what);
  reader.end(what);
  return one;
}

const readSubjectKeyId = (value: Uint8Array) => readOne(value, Tag.octetString, "subjectKeyIdentifier").content;
const readKeyUsage = (value: Uint8Array) => readNamedBits(readOne(value, Tag.bitString, "keyUsage"), "keyUsage");

/** The key identifier; the issuer's name and serial number that may follow are not read. */
export function readAuthorityKeyId(value: Uint8Array): Uint8Array | undefined {
  const what = "authorityKeyIdentifier";
  const inside = readWhole(value, Tag.sequence, what);
  const key = inside.optional(Tag.implicit(0), what)?.content;
  inside.optional(Tag.explicit(1), what);
  inside.optional(Tag.implicit(2), what);
  inside.end(what);
  return key;
}

function readBasicConstraints(value: Uint8Array): BasicConstraints {
  const what = "basicConstraints";
  const inside = readWhole(value, Tag.sequence, what);
  const flag = inside.optional(Tag.boolean, what);
  if (flag !== undefined && !readBoolean(flag, what)) throw new PkiError("der", `${what}: a default is encoded`);
  const length = inside.optional(Tag.integer, what);
  inside.end(what);
  if (length !== undefined && flag === undefined)
    throw new PkiError("certificate", `${what}: a path length without CA`);
  return { ca: flag !== undefined, pathLength: length && readSmall(length, 255, what) };
}

/** An extension as {@link readExtensions} reads it. */
export function extension(id: string, critical: boolean, value: Uint8Array): Uint8Array {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octetString(value));
}

/** basicConstraints, critical. */
export function basicConstraints(ca: boolean, pathLength?: number): Uint8Array {
  const parts = ca ? [boolean(true), ...(pathLength === undefined ? [] : [integer(pathLength)])] : [];
  return extension(Oid.basicConstraints, true, sequence(...parts));
}

/** keyUsage, critical. @param bits of {@link KeyUsage} */
export const keyUsage = (bits: number): Uint8Array => extension(Oid.keyUsage, true, namedBits(bits));
export const subjectKeyId = (id: Uint8Array): Uint8Array => extension(Oid.subjectKeyIdentifier, false, octetString(id));
export const authorityKeyId = (id: Uint8Array): Uint8Array =>
  extension(Oid.authorityKeyIdentifier, false, sequence(der(Tag.implicit(0), id)));
