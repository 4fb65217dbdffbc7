import { DerReader, readBytesOfBits, readOid, readSmall, readUnsigned, readWhole, Tag } from "./der-read.js";
import { isPublicKey, readEcdsaSignature, verifyP256 } from "./ecdsa.js";
import { PkiError } from "./errors.js";
import { type Extensions, readCertificateExtensions } from "./extensions.js";
import { type Name, readName } from "./name.js";
import { Oid } from "./oids.js";
import { readTime } from "./time.js";

/** A certificate of version 3 with a P-256 key, signed with ECDSA and SHA-256: the only kind that attestation uses. */
export interface Certificate {
  readonly der: Uint8Array;
  /** What the signature is over. */
  readonly signedBytes: Uint8Array;
  /** Magnitude, big-endian, 1 to 20 bytes. */
  readonly serial: Uint8Array;
  readonly issuer: Name;
  readonly subject: Name;
  /** First and last moment of validity, both inclusive, in ms since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** 65 bytes: 4 and the two coordinates of a point of P-256. */
  readonly publicKey: Uint8Array;
  readonly extensions: Extensions;
  /** r and s, 32 bytes each. */
  readonly signature: Uint8Array;
}

/**
 * Reads a certificate. Checks that it is in distinguished encoding and of the kind above; no signature, name or date is checked.
 *
 * @throws {PkiError} `der` or `certificate`; nothing else
 */
export function parseCertificate(bytes: Uint8Array): Certificate {
  const { tbs, signature, algorithm } = readSigned(bytes, "certificate");
  const body = readWhole(tbs, Tag.sequence, "certificate");
  const version = body.optional(Tag.explicit(0), "version");
  const number = version ? readVersion(version.content) : 0;
  if (number !== 2) throw new PkiError("certificate", `version ${number + 1}; it has to be 3`);
  const serial = readSerial(body);
  if (readAlgorithm(body, "certificate") !== algorithm) differ();
  const issuer = readName(body, "issuer");
  const validity = body.inside(Tag.sequence, "validity");
  const notBefore = readTime(validity, "notBefore");
  const notAfter = readTime(validity, "notAfter");
  validity.end("validity");
  const subject = readName(body, "subject");
  const publicKey = readPublicKey(body.inside(Tag.sequence, "public key"));
  const wrapped = body.inside(Tag.explicit(3), "extensions");
  const extensions = readCertificateExtensions(wrapped.inside(Tag.sequence, "extensions"));
  wrapped.end("extensions");
  body.end("certificate");
  if (notAfter < notBefore) throw new PkiError("certificate", "its validity ends before it begins");
  return {
    der: bytes,
    signedBytes: tbs,
    serial,
    issuer,
    subject,
    notBefore,
    notAfter,
    publicKey,
    extensions,
    signature,
  };
}

/** Whether `issuer`'s key has signed the certificate. Nothing else is checked. */
export function isSignedBy(signed: Pick<Certificate, "signedBytes" | "signature">, issuer: Certificate): boolean {
  return verifyP256(issuer.publicKey, signed.signedBytes, signed.signature);
}

/** Reads what certificates and lists are: something signed, the algorithm and the signature. */
export function readSigned(bytes: Uint8Array, what: string) {
  const whole = readWhole(bytes, Tag.sequence, what);
  const tbs = whole.next(Tag.sequence, what).bytes;
  const algorithm = readAlgorithm(whole, what);
  const signature = readEcdsaSignature(readBytesOfBits(whole.next(Tag.bitString, "signature"), "signature"));
  whole.end(what);
  if (algorithm !== Oid.ecdsaWithSha256)
    throw new PkiError("certificate", `signed with algorithm ${algorithm}; it has to be ecdsa-with-SHA256`);
  return { tbs, algorithm, signature };
}

/** RFC 5758, 3.2: the algorithm has no parameters. */
export function readAlgorithm(reader: DerReader, what: string): string {
  const inside = reader.inside(Tag.sequence, `${what}'s algorithm`);
  const id = readOid(inside.next(Tag.oid, `${what}'s algorithm`), `${what}'s algorithm`);
  inside.end(`${what}'s algorithm`);
  return id;
}

/** @throws {PkiError} always */
export function differ(): never {
  throw new PkiError("certificate", "the algorithm within and the one outside of what is signed differ");
}

function readVersion(content: Uint8Array): number {
  const reader = new DerReader(content);
  const version = readSmall(reader.next(Tag.integer, "version"), 255, "version");
  reader.end("version");
  return version;
}

/** A serial number. @throws {PkiError} unless it is positive and of at most 20 bytes */
export function readSerial(reader: DerReader): Uint8Array {
  const serial = readUnsigned(reader.next(Tag.integer, "serial number"), "serial number");
  if (serial.length > 20 || (serial.length === 1 && serial[0] === 0))
    throw new PkiError("certificate", "its serial number is zero or longer than 20 bytes");
  return serial;
}

function readPublicKey(info: DerReader): Uint8Array {
  const algorithm = info.inside(Tag.sequence, "public key");
  const kind = readOid(algorithm.next(Tag.oid, "public key"), "public key");
  const curve = kind === Oid.ecPublicKey ? readOid(algorithm.next(Tag.oid, "public key"), "public key") : kind;
  if (curve !== Oid.prime256v1) throw new PkiError("certificate", `a public key of kind ${curve}; it has to be P-256`);
  algorithm.end("public key");
  const key = readBytesOfBits(info.next(Tag.bitString, "public key"), "public key");
  info.end("public key");
  if (!isPublicKey(key)) throw new PkiError("certificate", "a public key that is not an uncompressed point of P-256");
  return key;
}
