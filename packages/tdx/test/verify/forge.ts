import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { parseCertificate } from "../../src/pki/certificate.js";
import { parseCrl } from "../../src/pki/crl.js";
import { signP256 } from "../../src/pki/ecdsa.js";
import { type CertificateContent, type CrlContent, issueCertificate, issueCrl, sign } from "../../src/pki/issue.js";
import { writePem } from "../../src/pki/pem.js";
import { ENCLAVE_REPORT } from "../../src/quote/enclave-report.js";
import type { QuoteHeader } from "../../src/quote/header.js";
import { BODY_TD_10, BODY_TD_15 } from "../../src/quote/quote.js";
import { certifyAttestationKey, signQuote } from "../../src/quote/sign.js";
import { TD_REPORT_15, type TdReport15 } from "../../src/quote/td-report-body.js";
import { certificateContent, crlContent, ISSUERS, type Part } from "../../src/simulated/certificates.js";
import { qeIdentity, qeReport, tcbInfo } from "../../src/simulated/documents.js";
import { CERTIFICATES_VALID, quoteHeader } from "../../src/simulated/platform.js";
import { seedSecret } from "../../src/simulated/secrets.js";

export const SEED = "forge";
/** When everything is current that nobody has changed. */
export const NOW = new Date("2026-01-15T00:00:00Z");
export const CURRENT = { notBefore: new Date("2026-01-01T00:00:00Z"), notAfter: new Date("2026-01-31T00:00:00Z") };
export const PARTS = ["root", "pckCa", "pck", "tcbSigner"] as const satisfies readonly Part[];

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
/** JSON that tests change as they like. */
// biome-ignore lint/suspicious/noExplicitAny: documents are taken apart in ways that no type has
export type Loose = any;
export type Texts = Record<string, string>;
type Bytes = Uint8Array;

const zeros = { sgx: Array(16).fill(0), tdx: Array(16).fill(0) };
const svns = (values: readonly number[]) => values.map((svn) => ({ svn }));
const DATE = "2025-12-01T00:00:00Z";

/** A level of the TCB info. */
export function level(
  status: string,
  sgx: readonly number[],
  pcesvn: number,
  tdx: readonly number[],
  ...ids: string[]
) {
  const fill = (values: readonly number[], rest: readonly number[]) => svns([...values, ...rest.slice(values.length)]);
  return {
    tcb: { sgxtcbcomponents: fill(sgx, zeros.sgx), pcesvn, tdxtcbcomponents: fill(tdx, zeros.tdx) },
    tcbDate: DATE,
    tcbStatus: status,
    advisoryIDs: ids,
  };
}

/** A level by isvsvn. */
export const svnLevel = (tcbStatus: string, isvsvn: number, ...advisoryIDs: string[]) => ({
  tcb: { isvsvn },
  tcbDate: DATE,
  tcbStatus,
  advisoryIDs,
});

const signer = { mrsigner: "00".repeat(48), attributes: "00".repeat(8), attributesMask: "FF".repeat(8) };

/** Certificates and lists do not change often, and their signatures take time. */
const issued = new Map<string, Bytes>();
function once(content: object, make: () => Bytes): Bytes {
  const key = JSON.stringify(content, (_, value) => (value instanceof Uint8Array ? bytesToHex(value) : value));
  const known = issued.get(key) ?? make();
  issued.set(key, known);
  return known;
}

export interface Made {
  quote: Bytes;
  collateral: Texts;
  root: Bytes;
}

/**
 * Everything that a quote and its collateral are made of, before it is signed: what a test changes is signed by the right keys, so that only the rule
 * that it breaks can find it.
 */
export class Forge {
  readonly certificates = Object.fromEntries(
    PARTS.map((part) => [part, certificateContent(SEED, part, CERTIFICATES_VALID)]),
  ) as unknown as Record<Part, Mutable<CertificateContent>>;
  /** Whose key signs a certificate. */
  readonly signers: Record<Part, string> = { ...ISSUERS };
  readonly crls: Record<"root" | "pckCa", Mutable<CrlContent>> = {
    root: crlContent(SEED, "root", CURRENT),
    pckCa: crlContent(SEED, "pckCa", CURRENT),
  };
  readonly crlSigners: Record<"root" | "pckCa", string> = { root: "root", pckCa: "pckCa" };
  /** Changes what is signed of a certificate or a list, in DER. */
  readonly tbs: Partial<Record<Part | "rootCrl" | "pckCrl", (tbs: Bytes) => Bytes>> = {};
  /** Changes a certificate or a list when it is signed. */
  readonly signed: Partial<Record<Part | "rootCrl" | "pckCrl", (der: Bytes) => Bytes>> = {};
  chains: Record<"quote" | "crl" | "tcbInfo" | "qeIdentity", Part[]> = {
    quote: ["pck", "pckCa", "root"],
    crl: ["pckCa", "root"],
    tcbInfo: ["tcbSigner", "root"],
    qeIdentity: ["tcbSigner", "root"],
  };
  documentSigner: Part = "tcbSigner";
  readonly tcbInfo: Loose = structuredClone({
    ...tcbInfo(CURRENT),
    tdxModule: signer,
    tdxModuleIdentities: [
      { id: "TDX_03", ...signer, tcbLevels: [svnLevel("UpToDate", 3)] },
      { id: "TDX_01", ...signer, tcbLevels: [svnLevel("UpToDate", 4), svnLevel("OutOfDate", 2, "SA-MODULE")] },
    ],
    tcbLevels: [
      level("UpToDate", [1, 1, 1, 1], 1, [4, 0, 6]),
      level("SWHardeningNeeded", [1, 1, 1], 1, [4, 0, 6], "SA-SW"),
      level("OutOfDate", [1, 1, 0], 0, [3, 0, 5], "SA-OLD"),
    ],
  });
  readonly qeIdentity: Loose = {
    ...qeIdentity(SEED, CURRENT),
    tcbLevels: [svnLevel("UpToDate", 1)],
  };
  version: 4 | 5 = 5;
  header: Partial<QuoteHeader> = {};
  readonly report: Mutable<TdReport15> = {
    ...TD_REPORT_15.read(new Uint8Array(TD_REPORT_15.size)),
    teeTcbSvn: hexToBytes(`040106${"00".repeat(13)}`),
    teeTcbSvn2: hexToBytes(`040106${"00".repeat(13)}`),
    tdAttributes: 1n << 28n,
    xfam: 0x602e7n,
    mrTd: new Uint8Array(48).fill(0x11),
    reportData: utf8ToBytes("report data".padEnd(64, "\0")),
  };
  readonly qeReport = { ...qeReport(SEED) } as Mutable<ReturnType<typeof qeReport>>;
  /** Changes the data of the QE report, which is signed then. */
  qeReportData: (data: Bytes) => Bytes = (data) => data;
  qeAuthData: Bytes = new Uint8Array(32);
  pckSecret: Bytes = seedSecret(SEED, "pck");
  /** Changes the text of a signed document. */
  readonly text: { tcbInfo: (text: string) => string; qeIdentity: (text: string) => string } = {
    tcbInfo: (text) => text,
    qeIdentity: (text) => text,
  };
  /** Changes the chain in the quote, in PEM. */
  pem: (pem: string) => string = (pem) => pem;
  /** Changes everything when it is done. */
  after: (made: Made) => void = () => undefined;

  certificate(part: Part): Bytes {
    const secret = seedSecret(SEED, this.signers[part]);
    const first = once([part, this.certificates[part], this.signers[part]], () =>
      issueCertificate(this.certificates[part], secret),
    );
    const change = this.tbs[part];
    const der = change ? sign(change(parseCertificate(first).signedBytes), secret) : first;
    return this.signed[part]?.(der) ?? der;
  }

  crl(issuer: "root" | "pckCa"): Bytes {
    const name = issuer === "root" ? "rootCrl" : "pckCrl";
    const secret = seedSecret(SEED, this.crlSigners[issuer]);
    const first = once([issuer, this.crls[issuer], this.crlSigners[issuer]], () => issueCrl(this.crls[issuer], secret));
    const change = this.tbs[name];
    const der = change ? sign(change(parseCrl(first).signedBytes), secret) : first;
    return this.signed[name]?.(der) ?? der;
  }

  chain(name: keyof Forge["chains"]): string {
    return this.chains[name].map((part) => writePem(this.certificate(part))).join("");
  }

  build(): Made {
    const secret = seedSecret(SEED, this.documentSigner);
    const document = (content: Loose, change: (text: string) => string) => {
      const text = change(JSON.stringify(content));
      return [text, bytesToHex(once(["document", secret, text], () => signP256(secret, utf8ToBytes(text))))] as const;
    };
    const [info, infoSignature] = document(this.tcbInfo, this.text.tcbInfo);
    const [identity, identitySignature] = document(this.qeIdentity, this.text.qeIdentity);
    const made: Made = {
      root: this.certificate("root"),
      quote: this.quote(),
      collateral: {
        pck_crl_issuer_chain: this.chain("crl"),
        root_ca_crl: bytesToHex(this.crl("root")),
        pck_crl: bytesToHex(this.crl("pckCa")),
        tcb_info_issuer_chain: this.chain("tcbInfo"),
        tcb_info: info,
        tcb_info_signature: infoSignature,
        qe_identity_issuer_chain: this.chain("qeIdentity"),
        qe_identity: identity,
        qe_identity_signature: identitySignature,
      },
    };
    this.after(made);
    return made;
  }

  private quote(): Bytes {
    const key = certifyAttestationKey(seedSecret(SEED, "attestation key"), {
      pckSecret: this.pckSecret,
      pckChain: this.pem(this.chain("quote")),
      qeReport: this.qeReport,
      qeAuthData: this.qeAuthData,
    });
    const qeReport = { ...key.certified.qeReport, reportData: this.qeReportData(key.certified.qeReport.reportData) };
    const bytes = ENCLAVE_REPORT.write(qeReport);
    const qeReportSignature = once(["QE report", this.pckSecret, bytes], () => signP256(this.pckSecret, bytes));
    const certified = { ...key.certified, qeReport, qeReportSignature };
    const header = { ...quoteHeader(this.version), ...this.header };
    const body =
      header.version === 5
        ? ({ type: BODY_TD_15, report: this.report } as const)
        : ({ type: BODY_TD_10, report: this.report } as const);
    return signQuote({ header, body }, { ...key, certified });
  }
}

/** `bytes` with the first occurrence of a pattern replaced, both in hexadecimal. Lengths around it stay as they are. */
export function replaced(bytes: Bytes, from: string, to: string): Bytes {
  const text = bytesToHex(bytes);
  let at = text.indexOf(from);
  while (at % 2 === 1) at = text.indexOf(from, at + 1);
  if (at < 0) throw new Error(`${from} is not in there`);
  return concatBytes(bytes.subarray(0, at / 2), hexToBytes(to), bytes.subarray((at + from.length) / 2));
}
