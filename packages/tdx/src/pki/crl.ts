import { bytesToHex } from "@noble/hashes/utils.js";
import { differ, readAlgorithm, readSerial, readSigned } from "./certificate.js";
import { type DerReader, readSmall, readWhole, Tag } from "./der-read.js";
import { PkiError } from "./errors.js";
import { readAuthorityKeyId, readExtensions } from "./extensions.js";
import { type Name, readName } from "./name.js";
import { Oid } from "./oids.js";
import { readTime } from "./time.js";

/** A complete list of the certificates that their issuer has revoked. */
export interface CertificateList {
  readonly der: Uint8Array;
  /** What the signature is over. */
  readonly signedBytes: Uint8Array;
  readonly issuer: Name;
  /** From and up to when the list is current, both inclusive, in ms since 1970. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  readonly authorityKeyId: Uint8Array | undefined;
  /** Serial numbers in hex, as {@link isRevoked} looks them up. */
  readonly revoked: ReadonlySet<string>;
  /** r and s, 32 bytes each. */
  readonly signature: Uint8Array;
}

/**
 * Reads a list of version 2, or 1, that says when the next one comes. No signature, name or date is checked.
 *
 * @throws {PkiError} `der`, `certificate` or `crl`; nothing else
 */
export function parseCrl(bytes: Uint8Array): CertificateList {
  const { tbs, signature, algorithm } = readSigned(bytes, "list");
  const body = readWhole(tbs, Tag.sequence, "list");
  const version = body.optional(Tag.integer, "version");
  if (version !== undefined && readSmall(version, 255, "version") !== 1)
    throw new PkiError("crl", "a version other than 2");
  if (readAlgorithm(body, "list") !== algorithm) differ();
  const issuer = readName(body, "issuer");
  const thisUpdate = readTime(body, "thisUpdate");
  // RFC 5280, 5.1.2.5: nextUpdate is there, though the syntax makes it optional.
  const nextUpdate = readTime(body, "nextUpdate");
  const entries = body.optional(Tag.sequence, "revoked certificates");
  const revoked = entries
    ? readEntries(readWhole(entries.bytes, Tag.sequence, "revoked certificates"))
    : new Set<string>();
  const authorityKeyId = version === undefined ? undefined : readListExtensions(body);
  body.end("list");
  if (nextUpdate < thisUpdate) throw new PkiError("crl", "its next update is before this one");
  return { der: bytes, signedBytes: tbs, issuer, thisUpdate, nextUpdate, authorityKeyId, revoked, signature };
}

function readEntries(reader: DerReader): Set<string> {
  const revoked = new Set<string>();
  while (reader.tag >= 0) {
    const entry = reader.inside(Tag.sequence, "revoked certificate");
    revoked.add(bytesToHex(readSerial(entry)));
    readTime(entry, "revocation date");
    if (entry.tag === Tag.sequence) readExtensions(entry.inside(Tag.sequence, "entry"), [Oid.cRLReason], "crl");
    entry.end("revoked certificate");
  }
  if (revoked.size === 0) throw new PkiError("der", "an empty list of revoked certificates is encoded");
  return revoked;
}

/** Those of a partial or a delta list are critical and not understood, so such a list is refused. */
function readListExtensions(body: DerReader): Uint8Array | undefined {
  const wrapped = body.optional(Tag.explicit(0), "extensions");
  if (wrapped === undefined) return undefined;
  const list = readWhole(wrapped.content, Tag.sequence, "extensions");
  const key = readExtensions(list, [Oid.cRLNumber], "crl").get(Oid.authorityKeyIdentifier);
  return key && readAuthorityKeyId(key.value);
}

/** Whether the list has this serial number. */
export function isRevoked(list: CertificateList, serial: Uint8Array): boolean {
  return list.revoked.has(bytesToHex(serial));
}
