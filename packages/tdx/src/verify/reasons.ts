/** Why a quote is not accepted, by the rule that it breaks. */
export const REASONS = {
  QUOTE_FORMAT: "The bytes are not a quote of version 3, 4 or 5.",
  QUOTE_TRAILING: "Something other than zeros follows the quote.",
  QUOTE_VENDOR: "The QE vendor id is not Intel's.",
  QUOTE_SIGNATURE: "The attestation key has not signed header and body.",
  ATTESTATION_KEY: "The attestation key is not a point of P-256.",
  CERTIFICATION_TYPE: "The quote does not have its PCK certificate chain in it.",
  QE_REPORT_SIGNATURE: "The PCK has not signed the QE report.",
  QE_REPORT_DATA: "The QE report is about another attestation key or other authentication data.",
  CERTIFICATE_FORMAT: "A certificate cannot be read.",
  CHAIN_LENGTH: "A chain has too many or too few certificates.",
  CHAIN_ROOT: "A chain does not end in the root that was given.",
  CERTIFICATE_ISSUER: "A certificate names another issuer, or another key of it, than the next one in its chain.",
  CERTIFICATE_SIGNATURE: "The next one in a chain has not signed the certificate.",
  CERTIFICATE_TIME: "A certificate is not valid at that time.",
  CERTIFICATE_CA: "A CA is not marked as one, is too far from the leaf, or a leaf is a CA.",
  CERTIFICATE_USAGE: "A key was not made for what it is used for.",
  CERTIFICATE_ROLE: "A certificate is not the kind that has to be there.",
  CERTIFICATE_REVOKED: "A certificate is revoked.",
  SGX_EXTENSION: "The PCK certificate does not say what platform it is for.",
  CRL_FORMAT: "A list of revoked certificates cannot be read.",
  CRL_ISSUER: "A list of revoked certificates is another issuer's.",
  CRL_SIGNATURE: "A list of revoked certificates is not signed by its issuer.",
  CRL_TIME: "A list of revoked certificates is not current at that time.",
  COLLATERAL_FORMAT: "The collateral misses a member, has one twice or has one of another kind.",
  TCB_INFO_FORMAT: "The TCB info cannot be read.",
  TCB_INFO_SIGNATURE: "The TCB signer has not signed the TCB info.",
  TCB_INFO_TIME: "The TCB info is not current at that time.",
  TCB_INFO_MISMATCH: "The TCB info is for another kind of TEE, FMSPC or PCEID.",
  QE_IDENTITY_FORMAT: "The QE identity cannot be read.",
  QE_IDENTITY_SIGNATURE: "The TCB signer has not signed the QE identity.",
  QE_IDENTITY_TIME: "The QE identity is not current at that time.",
  QE_IDENTITY_MISMATCH: "The quoting enclave is another than the QE identity says.",
  TCB_EVALUATION: "The collateral is from an older evaluation of the TCB than the policy demands.",
  TDX_MODULE: "The TDX module is not one that the TCB info knows, or its signer or attributes are others.",
  TCB_NOT_SUPPORTED: "No TCB level is as low as the platform's, the TDX module's or the quoting enclave's SVNs.",
  TCB_STATUS: "The status is not one that the policy accepts.",
  DEBUG: "A debugger may look into what the quote is about.",
  TD_ATTRIBUTES: "ATTRIBUTES of the TD has a bit that the policy does not accept, or lacks SEPT_VE_DISABLE.",
  XFAM: "XFAM of the TD has a bit that no TDX module accepts, or lacks one that all demand.",
  SERVICE_TD: "A service TD may look into the TD, and the policy does not name it.",
  EXPECTED: "A measurement is another than the policy expects.",
  EVENT_LOG: "The event log cannot be read.",
  RTMR: "The event log does not lead to the quoted RTMR.",
} as const;

export type ReasonCode = keyof typeof REASONS;

/** One rule that a quote or its collateral breaks. */
export interface Reason {
  readonly code: ReasonCode;
  /** A sentence with what was found and where. */
  readonly message: string;
}

/** Reasons as they are found. */
export class Findings {
  readonly #reasons: Reason[] = [];

  get reasons(): readonly Reason[] {
    return this.#reasons;
  }

  add(code: ReasonCode, message: string): void {
    this.#reasons.push({ code, message: message.charAt(0).toUpperCase() + message.slice(1) });
  }

  /** What `read` returns; undefined with a finding if it throws one of `kinds`, the error of a reader. */
  attempt<T>(
    code: ReasonCode,
    what: string,
    kinds: readonly (new (...given: never[]) => Error)[],
    read: () => T,
  ): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!kinds.some((kind) => error instanceof kind)) throw error;
      this.add(code, `${what}: ${(error as Error).message}.`);
      return undefined;
    }
  }
}
