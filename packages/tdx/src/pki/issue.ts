import { sha1 } from "@noble/hashes/legacy.js";
import { Tag } from "./der-read.js";
import { bitString, der, integer, joined, oid, sequence, time } from "./der-write.js";
import { signP256, writeEcdsaSignature } from "./ecdsa.js";
import { authorityKeyId, extension } from "./extensions.js";
import { Oid } from "./oids.js";

/** What a certificate is to say. */
export interface CertificateContent {
  /** Magnitude, big-endian; positive, at most 20 bytes. */
  readonly serial: Uint8Array;
  /** Names in DER: see `writeName`. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** 65 bytes: 4 and the two coordinates. */
  readonly publicKey: Uint8Array;
  /** Each in DER: see `extension`. */
  readonly extensions: readonly Uint8Array[];
}

/** What a list of revoked certificates is to say. */
export interface CrlContent {
  /** Name in DER. */
  readonly issuer: Uint8Array;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  readonly number: number;
  /** {@link keyId} of the issuer. */
  readonly authorityKeyId: Uint8Array;
  readonly revoked: readonly { readonly serial: Uint8Array; readonly date: Date }[];
}

const ALGORITHM = sequence(oid(Oid.ecdsaWithSha256));

/** Identifier of a key, 20 bytes: RFC 5280, 4.2.1.2, method 1. It identifies only; nothing relies on SHA-1. */
export function keyId(publicKey: Uint8Array): Uint8Array {
  return sha1(publicKey);
}

/** A certificate in DER that `secret` has signed. */
export function issueCertificate(content: CertificateContent, secret: Uint8Array): Uint8Array {
  const key = sequence(sequence(oid(Oid.ecPublicKey), oid(Oid.prime256v1)), bitString(content.publicKey));
  return sign(
    sequence(
      der(Tag.explicit(0), integer(2)),
      integer(content.serial),
      ALGORITHM,
      content.issuer,
      sequence(time(content.notBefore), time(content.notAfter)),
      content.subject,
      key,
      der(Tag.explicit(3), sequence(...content.extensions)),
    ),
    secret,
  );
}

/** A list in DER that `secret` has signed. */
export function issueCrl(content: CrlContent, secret: Uint8Array): Uint8Array {
  const entries = content.revoked.map(({ serial, date }) => sequence(integer(serial), time(date)));
  return sign(
    sequence(
      integer(1),
      ALGORITHM,
      content.issuer,
      time(content.thisUpdate),
      time(content.nextUpdate),
      ...(entries.length === 0 ? [] : [sequence(joined(entries))]),
      der(
        Tag.explicit(0),
        sequence(extension(Oid.cRLNumber, false, integer(content.number)), authorityKeyId(content.authorityKeyId)),
      ),
    ),
    secret,
  );
}

/** What is to be signed, in DER, with its signature. */
export function sign(toBeSigned: Uint8Array, secret: Uint8Array): Uint8Array {
  const signature = writeEcdsaSignature(signP256(secret, toBeSigned));
  return sequence(toBeSigned, ALGORITHM, bitString(signature));
}
