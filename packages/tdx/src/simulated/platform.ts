import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { signP256 } from "../pki/ecdsa.js";
import { writePem } from "../pki/pem.js";
import { ATTESTATION_KEY_ECDSA_P256, INTEL_QE_VENDOR_ID, type QuoteHeader, TEE_TYPE_TDX } from "../quote/header.js";
import { BODY_TD_10, BODY_TD_15, type QuoteBody } from "../quote/quote.js";
import { type AttestationKey, certifyAttestationKey, signQuote } from "../quote/sign.js";
import type { TdReport10, TdReport15 } from "../quote/td-report-body.js";
import type { CollateralSource } from "../verify/collateral.js";
import { certificateOf, crlOf, type Window } from "./certificates.js";
import { qeIdentity, qeReport, tcbInfo } from "./documents.js";
import { NOTICE, USER_DATA } from "./names.js";
import { seedSecret } from "./secrets.js";

/** What a simulated platform is made of. The same always makes the same, byte for byte. */
export interface SimulatedPlatformOptions {
  /** Any text. Who knows it can sign everything that the platform can. */
  readonly seed: string;
  /** When the collateral is current. */
  readonly current: Window;
  /** When the certificates are valid. Default: {@link CERTIFICATES_VALID}, so that a seed has one root. */
  readonly valid?: Window;
}

/** 2020 to 2049. */
export const CERTIFICATES_VALID: Window = {
  notBefore: new Date(Date.UTC(2020, 0)),
  notAfter: new Date(Date.UTC(2049, 11, 31, 23, 59, 59)),
};

/**
 * Everything that a platform with TDX has to make quotes and that Intel has to vouch for them, made up from a seed. Nothing of it is secure and all of it
 * says so: names in certificates and lists, a member of the signed documents. Its quotes are in every byte like real ones but for the root that their chain ends in, the user data of their header and the authentication
 * data of their quoting enclave; no verifier that trusts Intel's root accepts them.
 */
export class SimulatedPlatform {
  /** The root, in DER: what a verifier has to trust. */
  readonly root: Uint8Array;
  /** Everything else that a verifier needs. */
  readonly collateral: CollateralSource;
  readonly #key: AttestationKey;

  constructor({ seed, current, valid = CERTIFICATES_VALID }: SimulatedPlatformOptions) {
    this.root = certificateOf(seed, "root", valid);
    const root = writePem(this.root);
    const pckCa = writePem(certificateOf(seed, "pckCa", valid)) + root;
    this.#key = certifyAttestationKey(seedSecret(seed, "attestation key"), {
      pckSecret: seedSecret(seed, "pck"),
      pckChain: writePem(certificateOf(seed, "pck", valid)) + pckCa,
      qeReport: qeReport(seed),
      qeAuthData: utf8ToBytes(NOTICE.padEnd(32, "\0")),
    });
    const signer = writePem(certificateOf(seed, "tcbSigner", valid)) + root;
    const sign = (text: string) => bytesToHex(signP256(seedSecret(seed, "tcbSigner"), utf8ToBytes(text)));
    const info = JSON.stringify(tcbInfo(current));
    const identity = JSON.stringify(qeIdentity(seed, current));
    this.collateral = {
      pck_crl_issuer_chain: pckCa,
      root_ca_crl: bytesToHex(crlOf(seed, "root", current)),
      pck_crl: bytesToHex(crlOf(seed, "pckCa", current)),
      tcb_info_issuer_chain: signer,
      tcb_info: info,
      tcb_info_signature: sign(info),
      qe_identity_issuer_chain: signer,
      qe_identity: identity,
      qe_identity_signature: sign(identity),
    };
  }

  /**
   * A quote about a TD.
   *
   * @param report what it says; of a TDX 1.5 report, version 4 leaves out what it has no place for
   * @param version of the quote; version 5 has the longer body if `report` has it
   * @throws {FieldError} for a field of another size than its own
   */
  quote(report: TdReport10 | TdReport15, version: 4 | 5 = 4): Uint8Array {
    return signQuote({ header: quoteHeader(version), body: bodyOf(report, version) }, this.#key);
  }
}

/** Header of a simulated quote: that of a real one, but for the user data. */
export function quoteHeader(version: 4 | 5): QuoteHeader {
  return {
    version,
    attestationKeyType: ATTESTATION_KEY_ECDSA_P256,
    teeType: TEE_TYPE_TDX,
    qeSvn: 0,
    pceSvn: 0,
    qeVendorId: INTEL_QE_VENDOR_ID,
    userData: USER_DATA,
  };
}

function bodyOf(report: TdReport10 | TdReport15, version: 4 | 5): QuoteBody {
  if (version === 5 && "mrServiceTd" in report) return { type: BODY_TD_15, report };
  return { type: BODY_TD_10, report };
}
