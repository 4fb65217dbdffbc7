import { utf8ToBytes } from "@noble/hashes/utils.js";
import { publicKeyOf } from "../pki/ecdsa.js";
import { authorityKeyId, basicConstraints, extension, KeyUsage, keyUsage, subjectKeyId } from "../pki/extensions.js";
import { type CertificateContent, type CrlContent, issueCertificate, issueCrl, keyId } from "../pki/issue.js";
import { Oid } from "../pki/oids.js";
import { type SgxExtension, writeSgxExtension } from "../pki/sgx-extension.js";
import { NAMES } from "./names.js";
import { seedSecret, seedSerial } from "./secrets.js";

/** Parts with a key and a certificate. */
export type Part = keyof typeof NAMES;

/** From when to when, both inclusive; milliseconds are cut off. */
export interface Window {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** What the PCK certificate says: FMSPC 51AD51AD0000, which no platform of Intel's has, and SVNs of 1. */
export const PLATFORM: SgxExtension = {
  ppid: utf8ToBytes("SIMULATED-PPID--"),
  components: Array(16).fill(1),
  pceSvn: 1,
  cpuSvn: new Uint8Array(16).fill(1),
  pceId: new Uint8Array(2),
  fmspc: Uint8Array.of(0x51, 0xad, 0x51, 0xad, 0, 0),
  sgxType: 1,
};

const CA_USAGE = KeyUsage.keyCertSign | KeyUsage.cRLSign;
const SIGNER_USAGE = KeyUsage.digitalSignature | KeyUsage.nonRepudiation;

/** Who issues whose certificate. */
export const ISSUERS: Readonly<Record<Part, Part>> = { root: "root", pckCa: "root", pck: "pckCa", tcbSigner: "root" };

/** What the certificate of a part is to say: the same chain of roles, extensions and usages as Intel's. */
export function certificateContent(seed: string, part: Part, window: Window): CertificateContent {
  const issuer = ISSUERS[part];
  const publicKey = publicKeyOf(seedSecret(seed, part));
  const own: Readonly<Record<Part, readonly Uint8Array[]>> = {
    root: [keyUsage(CA_USAGE), basicConstraints(true, 1)],
    pckCa: [keyUsage(CA_USAGE), basicConstraints(true, 0)],
    pck: [keyUsage(SIGNER_USAGE), basicConstraints(false), extension(Oid.sgx, false, writeSgxExtension(PLATFORM))],
    tcbSigner: [keyUsage(SIGNER_USAGE), basicConstraints(false)],
  };
  return {
    serial: seedSerial(seed, part),
    issuer: NAMES[issuer],
    subject: NAMES[part],
    ...window,
    publicKey,
    extensions: [
      authorityKeyId(keyId(publicKeyOf(seedSecret(seed, issuer)))),
      subjectKeyId(keyId(publicKey)),
      ...own[part],
    ],
  };
}

/** Certificate of a part, in DER. */
export function certificateOf(seed: string, part: Part, window: Window): Uint8Array {
  return issueCertificate(certificateContent(seed, part, window), seedSecret(seed, ISSUERS[part]));
}

/** What the list of a CA is to say: nothing is revoked. */
export function crlContent(seed: string, issuer: "root" | "pckCa", window: Window): CrlContent {
  return {
    issuer: NAMES[issuer],
    thisUpdate: window.notBefore,
    nextUpdate: window.notAfter,
    number: 1,
    authorityKeyId: keyId(publicKeyOf(seedSecret(seed, issuer))),
    revoked: [],
  };
}

/** List of a CA, in DER. */
export function crlOf(seed: string, issuer: "root" | "pckCa", window: Window): Uint8Array {
  return issueCrl(crlContent(seed, issuer, window), seedSecret(seed, issuer));
}
