import { bytesToHex, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { Document, isHex } from "./document.js";
import { VerifyInputError } from "./errors.js";
import { JsonError, JsonObject, parseJson } from "./json.js";
import type { Findings } from "./reasons.js";

/**
 * Everything but the quote, the root and the time that verifying needs, with the member names that dcap-qvl gave them. Chains are in PEM, lists
 * of revoked certificates in DER as hexadecimal, signatures r and s in hexadecimal. The texts of the TCB info and of the identity are
 * exactly those that are signed.
 */
export interface CollateralSource {
  readonly pck_crl_issuer_chain: string;
  readonly root_ca_crl: string;
  readonly pck_crl: string;
  readonly tcb_info_issuer_chain: string;
  readonly tcb_info: string;
  readonly tcb_info_signature: string;
  readonly qe_identity_issuer_chain: string;
  readonly qe_identity: string;
  readonly qe_identity_signature: string;
  /** In place of the chain in the quote, for those who look there; if it is here it has to be the same. */
  readonly pck_certificate_chain?: string;
}

/** What Intel's provisioning certification service answers, version 4 of its API. Chains are those of the headers, URL-encoded. */
export interface PcsResponses {
  /** Body of /tdx/certification/v4/tcb, and header TCB-Info-Issuer-Chain. */
  readonly tcbInfo: string;
  readonly tcbInfoIssuerChain: string;
  /** Body of /tdx/certification/v4/qe/identity, and header SGX-Enclave-Identity-Issuer-Chain. */
  readonly qeIdentity: string;
  readonly qeIdentityIssuerChain: string;
  /** Body of /sgx/certification/v4/pckcrl?encoding=der, and header SGX-PCK-CRL-Issuer-Chain. */
  readonly pckCrl: Uint8Array;
  readonly pckCrlIssuerChain: string;
  /** The list of the root, as certificates.trustedservices.intel.com has it. */
  readonly rootCaCrl: Uint8Array;
}

/** Members of the collateral as bytes; signed texts are in UTF-8. */
export interface Collateral {
  readonly pckCrlIssuerChain: string;
  readonly rootCaCrl: Uint8Array;
  readonly pckCrl: Uint8Array;
  readonly tcbInfoIssuerChain: string;
  readonly tcbInfo: SignedText;
  readonly qeIdentityIssuerChain: string;
  readonly qeIdentity: SignedText;
  readonly pckCertificateChain: string | undefined;
}

/** A text and what is to be a signature over it. */
export interface SignedText {
  readonly text: string;
  readonly bytes: Uint8Array;
  /** r and s, 32 bytes each. */
  readonly signature: Uint8Array;
}

/**
 * Reads collateral from JSON text or from an object like it.
 *
 * @returns undefined with a finding if a member is missing, there twice or of another kind
 * @throws {VerifyInputError} `collateral` for text that is not even the beginning of an object
 */
export function readCollateral(findings: Findings, source: string | CollateralSource): Collateral | undefined {
  const text = typeof source === "string" ? source : JSON.stringify(source);
  if (text === undefined || !/^\s*\{/.test(text))
    throw new VerifyInputError("collateral", "the collateral is not a JSON object");
  return findings.attempt("COLLATERAL_FORMAT", "the collateral", [JsonError], () => {
    const members = Document.parse(text, "collateral");
    return {
      pckCrlIssuerChain: members.text("pck_crl_issuer_chain"),
      rootCaCrl: hexMember(members, "root_ca_crl"),
      pckCrl: hexMember(members, "pck_crl"),
      tcbInfoIssuerChain: members.text("tcb_info_issuer_chain"),
      tcbInfo: signedText(members, "tcb_info"),
      qeIdentityIssuerChain: members.text("qe_identity_issuer_chain"),
      qeIdentity: signedText(members, "qe_identity"),
      pckCertificateChain: members.has("pck_certificate_chain") ? members.text("pck_certificate_chain") : undefined,
    };
  });
}

function hexMember(members: Document, name: string): Uint8Array {
  const text = members.text(name);
  if (!isHex(text)) throw new JsonError(`collateral.${name} is not hexadecimal`);
  return hexToBytes(text);
}

function signedText(members: Document, name: string): SignedText {
  const text = members.text(name);
  return { text, bytes: utf8ToBytes(text), signature: members.hex(`${name}_signature`, 64) };
}

/**
 * Collateral of what Intel's service answered.
 *
 * @throws {JsonError} if a body is not an object with one of these members and a signature, or a chain is not URL-encoded
 */
export function collateralFromPcs(responses: PcsResponses): CollateralSource {
  const tcbInfo = signedMember(responses.tcbInfo, "tcbInfo");
  const identity = signedMember(responses.qeIdentity, "enclaveIdentity");
  return {
    pck_crl_issuer_chain: decodeChain(responses.pckCrlIssuerChain),
    root_ca_crl: bytesToHex(responses.rootCaCrl),
    pck_crl: bytesToHex(responses.pckCrl),
    tcb_info_issuer_chain: decodeChain(responses.tcbInfoIssuerChain),
    tcb_info: tcbInfo.text,
    tcb_info_signature: tcbInfo.signature,
    qe_identity_issuer_chain: decodeChain(responses.qeIdentityIssuerChain),
    qe_identity: identity.text,
    qe_identity_signature: identity.signature,
  };
}

function signedMember(body: string, name: string): { readonly text: string; readonly signature: string } {
  const response = parseJson(body.trimEnd());
  const member = response instanceof JsonObject ? response.members.get(name) : undefined;
  const signature = response instanceof JsonObject ? response.members.get("signature") : undefined;
  if (!(member instanceof JsonObject) || typeof signature !== "string")
    throw new JsonError(`not an object with ${name} and signature`);
  return { text: member.text, signature };
}

function decodeChain(header: string): string {
  if (!/^(?:[^%]|%[0-7][0-9a-fA-F])*$/.test(header)) throw new JsonError("a chain that is not URL-encoded");
  return decodeURIComponent(header);
}
