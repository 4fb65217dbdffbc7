import type { Certificate } from "../pki/certificate.js";
import { PkiError } from "../pki/errors.js";
import { parseSgxExtension, type SgxExtension } from "../pki/sgx-extension.js";
import { BODY_ENCLAVE, BODY_TD_15, CERTIFICATION_PCK_CHAIN, type ParsedQuote } from "../quote/quote.js";
import { checkChain, checkRoot, readChain, type Trust } from "./chain.js";
import { type CollateralSource, readCollateral } from "./collateral.js";
import { checkCollateralFor, checkModule, checkQe } from "./identities.js";
import { readQuote, readTrust } from "./inputs.js";
import { acceptedStatuses, type Policy } from "./policy.js";
import { Findings, type Reason } from "./reasons.js";
import { checkRtmrs, type RtmrReplay } from "./rtmrs.js";
import { checkAttestation, checkEnvelope, checkQeReport } from "./signatures.js";
import { type SignedCollateral, verifyCollateral } from "./signed-collateral.js";
import { checkSubject } from "./subject.js";
import { matchSvn, matchTcb, type TcbMatch } from "./tcb-match.js";
import type { TcbStatus } from "./tcb-status.js";

/** What a quote is judged by. There is no default for the root and none for the time. */
export interface VerifyOptions {
  /** JSON text, or an object like it. */
  readonly collateral: string | CollateralSource;
  /** The only root that is trusted: one certificate, in DER or in PEM. */
  readonly root: Uint8Array;
  /** When everything has to be valid. */
  readonly time: Date;
  /** The TD's event log in the format of TCG (CCEL); RTMR0 to RTMR2 have to be what it leads to. */
  readonly eventLog?: Uint8Array;
  readonly policy?: Policy;
}

/** What was found out about a quote. */
export interface Verification {
  /** Whether there is no reason against it. */
  readonly accepted: boolean;
  /** Status of everything that the quote relies on; undefined if signatures or identities left nothing to judge. */
  readonly tcbStatus: TcbStatus | undefined;
  /** Intel's advisories about the levels that count. */
  readonly advisoryIds: readonly string[];
  /** All rules that the quote or its collateral breaks. */
  readonly reasons: readonly Reason[];
  /** The quote, true or not; undefined if it cannot be read. */
  readonly quote: ParsedQuote | undefined;
  /** Which platform the PCK certificate says; undefined if it cannot be read. */
  readonly platform: SgxExtension | undefined;
  /** Levels that count; undefined as {@link tcbStatus}. */
  readonly tcb: TcbMatch | undefined;
  /** Number of the evaluation of the TCB that the TCB info and the QE identity are from. */
  readonly tcbEvaluation: { readonly tcbInfo: number; readonly qeIdentity: number } | undefined;
  /** What the event log leads to; undefined without a log that can be read. */
  readonly rtmrs: RtmrReplay | undefined;
  /** Common name of the root that was trusted. */
  readonly root: string;
}

/**
 * Verifies a quote of a TD, version 4 or 5, or of an SGX enclave, versions 3 to 5.
 *
 * Never throws for what somebody else made, quote and collateral, however false: that is rejected with reasons.
 *
 * @throws {VerifyInputError} for a root, a time or a policy that cannot be used, and for what is not even the beginning of a quote or of collateral
 * @example
 * const { accepted, tcbStatus, reasons } = verifyQuote(quote, { collateral, root, time: new Date() });
 */
export function verifyQuote(bytes: Uint8Array, options: VerifyOptions): Verification {
  const { policy = {} } = options;
  const statuses = acceptedStatuses(policy);
  const trust = readTrust(options.root, options.time);
  const findings = new Findings();
  const quote = readQuote(findings, bytes);
  const collateral = readCollateral(findings, options.collateral);
  checkRoot(findings, trust, 1);
  const pck = quote && checkQuote(findings, quote, trust);
  const signed = collateral && verifyCollateral(findings, collateral, pck, trust);
  // What is not proven to be true is not worth a status.
  const proven = findings.reasons.length === 0;
  const judged = proven && quote && pck && signed && judgeTcb(findings, quote, pck.platform, signed, statuses);
  const tcb = typeof judged === "object" ? judged : undefined;
  if (signed && proven) checkEvaluation(findings, signed, policy);
  if (quote) checkSubject(findings, quote.body, policy);
  const rtmrs = quote && options.eventLog ? checkRtmrs(findings, quote.body, options.eventLog) : undefined;
  return {
    accepted: tcb !== undefined && findings.reasons.length === 0,
    tcbStatus: judged === "NotSupported" ? judged : tcb?.status,
    advisoryIds: tcb?.advisoryIds ?? [],
    reasons: findings.reasons,
    quote,
    platform: pck?.platform,
    tcb,
    tcbEvaluation: signed && {
      tcbInfo: signed.tcbInfo.tcbEvaluationDataNumber,
      qeIdentity: signed.qeIdentity.tcbEvaluationDataNumber,
    },
    rtmrs,
    root: trust.root.subject.commonName,
  };
}

/** What {@link verifyQuoteSignatures} found out. */
export interface SignatureVerification {
  /** Rules that the quote breaks, of those that need no collateral. */
  readonly reasons: readonly Reason[];
  readonly quote: ParsedQuote | undefined;
  readonly platform: SgxExtension | undefined;
}

/**
 * Verifies of a quote what needs no collateral: its three signatures, the hash over its attestation key and the chain of its PCK to the root.
 * Whether anything is revoked or out of date remains unknown, so nothing is accepted by this.
 *
 * @throws {VerifyInputError} as {@link verifyQuote}
 */
export function verifyQuoteSignatures(
  bytes: Uint8Array,
  { root, time }: Pick<VerifyOptions, "root" | "time">,
): SignatureVerification {
  const trust = readTrust(root, time);
  const findings = new Findings();
  const quote = readQuote(findings, bytes);
  checkRoot(findings, trust, 1);
  const pck = quote && checkQuote(findings, quote, trust);
  return { reasons: findings.reasons, quote, platform: pck?.platform };
}

/** What vouches for a quote. */
interface Pck {
  /** PCK, PCK CA, root. */
  readonly chain: readonly Certificate[];
  readonly platform: SgxExtension;
}

function checkQuote(findings: Findings, quote: ParsedQuote, trust: Trust): Pck | undefined {
  checkEnvelope(findings, quote);
  checkAttestation(findings, quote);
  const { type, data } = quote.signature.certification;
  if (type !== CERTIFICATION_PCK_CHAIN) {
    findings.add("CERTIFICATION_TYPE", `The certification data is of type ${type}; it has to be 5, the PCK chain.`);
    return undefined;
  }
  const certificates = readChain(findings, "the PCK chain", data);
  const leaf = certificates && checkChain(findings, "the PCK chain", certificates, ["PCK", "PCK CA", "root"], trust);
  if (certificates === undefined || leaf === undefined) return undefined;
  checkQeReport(findings, quote, leaf.publicKey);
  const { sgx } = leaf.extensions;
  const platform =
    sgx && findings.attempt("SGX_EXTENSION", "the PCK certificate", [PkiError], () => parseSgxExtension(sgx));
  return platform && { chain: certificates, platform };
}

function judgeTcb(
  findings: Findings,
  quote: ParsedQuote,
  platform: SgxExtension,
  { tcbInfo, qeIdentity }: SignedCollateral,
  accepted: readonly TcbStatus[],
): TcbMatch | "NotSupported" | undefined {
  const { body, signature, header } = quote;
  checkCollateralFor(findings, header.teeType, platform, tcbInfo, qeIdentity);
  checkQe(findings, signature.qeReport, qeIdentity);
  if (body.type !== BODY_ENCLAVE && tcbInfo.id === "TDX") checkModule(findings, body.report, tcbInfo);
  if (findings.reasons.length > 0) return undefined;
  const tee =
    body.type === BODY_ENCLAVE
      ? undefined
      : { svn: body.report.teeTcbSvn, svn2: body.type === BODY_TD_15 ? body.report.teeTcbSvn2 : undefined };
  const match = matchTcb(tcbInfo, platform, tee, matchSvn(qeIdentity.levels, signature.qeReport.isvSvn));
  if (typeof match === "string") {
    findings.add("TCB_NOT_SUPPORTED", `No level is as low as the SVNs of ${match}.`);
    return "NotSupported";
  }
  if (!accepted.includes(match.status))
    findings.add("TCB_STATUS", `The status is ${match.status}; ${accepted.join(", ") || "none"} is accepted.`);
  return match;
}

function checkEvaluation(findings: Findings, { tcbInfo, qeIdentity }: SignedCollateral, policy: Policy): void {
  const minimum = policy.minimumTcbEvaluation ?? 0;
  for (const { tcbEvaluationDataNumber: number } of [tcbInfo, qeIdentity]) {
    if (number < minimum)
      findings.add("TCB_EVALUATION", `The collateral is of evaluation ${number}, before ${minimum}.`);
  }
}
