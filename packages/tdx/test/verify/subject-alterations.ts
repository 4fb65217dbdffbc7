import { hexToBytes } from "@noble/hashes/utils.js";
import type { EnclaveReport } from "../../src/quote/enclave-report.js";
import type { TdReport15 } from "../../src/quote/td-report-body.js";
import type { ReasonCode } from "../../src/verify/reasons.js";
import type { Alteration } from "./alteration.js";

/** Another value in the TD's report, which is signed then. */
const td = (what: string, code: ReasonCode, value: Partial<TdReport15>): Alteration => [
  `TD: ${what}`,
  code,
  (forge) => void Object.assign(forge.report, value),
];

/** Another value in the QE report, which is signed then. */
const qe = (what: string, codes: ReasonCode | readonly ReasonCode[], value: Partial<EnclaveReport>): Alteration => [
  `QE: ${what}`,
  codes,
  (forge) => void Object.assign(forge.qeReport, value),
];

const SEPT_VE_DISABLE = 1n << 28n;
const svn = (bytes: string) => hexToBytes(bytes.padEnd(32, "0"));

export const SUBJECT_ALTERATIONS: readonly Alteration[] = [
  ...[0n, 1n, 4n, 7n].map((bit) =>
    td(`bit ${bit} of ATTRIBUTES`, "DEBUG", { tdAttributes: SEPT_VE_DISABLE | (1n << bit) }),
  ),
  ...[8n, 16n, 27n, 29n, 32n, 62n].map((bit) =>
    td(`bit ${bit} of ATTRIBUTES`, "TD_ATTRIBUTES", { tdAttributes: SEPT_VE_DISABLE | (1n << bit) }),
  ),
  td("SEPT_VE_DISABLE is not set", "TD_ATTRIBUTES", { tdAttributes: 0n }),
  td("XFAM without x87", "XFAM", { xfam: 0x602e6n }),
  td("XFAM without SSE", "XFAM", { xfam: 0x602e5n }),
  ...[3n, 4n, 10n, 13n, 16n, 19n, 63n].map((bit) => td(`bit ${bit} of XFAM`, "XFAM", { xfam: 0x602e7n | (1n << bit) })),
  td("a service TD", "SERVICE_TD", { mrServiceTd: new Uint8Array(48).fill(1) }),
  td("another MRSIGNERSEAM", "TDX_MODULE", { mrSignerSeam: new Uint8Array(48).fill(1) }),
  td("SEAMATTRIBUTES", "TDX_MODULE", { seamAttributes: 1n }),
  td("the last bit of SEAMATTRIBUTES", "TDX_MODULE", { seamAttributes: 1n << 63n }),
  td("a TDX module of version 2", "TDX_MODULE", { teeTcbSvn: svn("040206") }),
  td("a TDX module of version 255", "TDX_MODULE", { teeTcbSvn: svn("04ff06") }),
  td("a TDX module of version 3, too low", "TCB_NOT_SUPPORTED", { teeTcbSvn: svn("020306") }),
  td("a TDX module that is out of date", "TCB_STATUS", { teeTcbSvn: svn("030106"), teeTcbSvn2: svn("030106") }),
  td("a TDX module that a launch would replace", "TCB_STATUS", { teeTcbSvn: svn("030106"), teeTcbSvn2: svn("040106") }),
  td("a TDX module below all levels", "TCB_NOT_SUPPORTED", { teeTcbSvn: svn("010106") }),
  td("TDX microcode below all levels", "TCB_NOT_SUPPORTED", { teeTcbSvn: svn("040104") }),
  td("a TDX module of version 0, too low", "TCB_NOT_SUPPORTED", { teeTcbSvn: svn("020006") }),
  qe("another MRSIGNER", "QE_IDENTITY_MISMATCH", { mrSigner: new Uint8Array(32) }),
  qe("another ISVPRODID", "QE_IDENTITY_MISMATCH", { isvProdId: 1 }),
  qe("a MISCSELECT", "QE_IDENTITY_MISMATCH", { miscSelect: 1 }),
  qe("the highest bit of MISCSELECT", "QE_IDENTITY_MISMATCH", { miscSelect: 0x8000_0000 }),
  qe("another ATTRIBUTES", "QE_IDENTITY_MISMATCH", { attributes: hexToBytes(`35${"0".repeat(30)}`) }),
  qe("under debug", ["QE_IDENTITY_MISMATCH", "DEBUG"], { attributes: hexToBytes(`17${"0".repeat(30)}`) }),
  qe("without PROVISION_KEY", "QE_IDENTITY_MISMATCH", { attributes: hexToBytes(`05${"0".repeat(30)}`) }),
  qe("an ISVSVN below all levels", "TCB_NOT_SUPPORTED", { isvSvn: 0 }),
];
