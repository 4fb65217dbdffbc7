import { bytesToHex } from "@noble/hashes/utils.js";
import { ENCLAVE_REPORT, type EnclaveReport } from "../quote/enclave-report.js";
import { PLATFORM, type Window } from "./certificates.js";
import { NOTICE } from "./names.js";
import { seedBytes } from "./secrets.js";

/** Any number will do: nothing is evaluated. */
const EVALUATION = 1;

const iso = (time: Date): string => time.toISOString().replace(/\.\d+Z$/, "Z");
const dates = ({ notBefore, notAfter }: Window) => ({ issueDate: iso(notBefore), nextUpdate: iso(notAfter) });
const svns = (values: ArrayLike<number>) => Array.from(values, (svn) => ({ svn }));

/** Report of the simulated quoting enclave, but for its report data. */
export function qeReport(seed: string): EnclaveReport {
  return {
    ...ENCLAVE_REPORT.read(new Uint8Array(ENCLAVE_REPORT.size)),
    cpuSvn: PLATFORM.cpuSvn,
    // INIT, MODE64BIT and PROVISION_KEY; x87 and SSE.
    attributes: Uint8Array.of(0x15, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0),
    mrEnclave: seedBytes(seed, "MRENCLAVE of the quoting enclave", 32),
    mrSigner: seedBytes(seed, "MRSIGNER of the quoting enclave", 32),
    isvProdId: 2,
    isvSvn: 1,
  };
}

/** TCB info by which the simulated platform is up to date, to be written as JSON. */
export function tcbInfo(window: Window) {
  return {
    id: "TDX",
    version: 3,
    ...dates(window),
    fmspc: bytesToHex(PLATFORM.fmspc).toUpperCase(),
    pceId: bytesToHex(PLATFORM.pceId),
    tcbType: 0,
    tcbEvaluationDataNumber: EVALUATION,
    notice: NOTICE,
    tdxModule: { mrsigner: "00".repeat(48), attributes: "00".repeat(8), attributesMask: "FF".repeat(8) },
    tdxModuleIdentities: [],
    tcbLevels: [
      {
        tcb: {
          sgxtcbcomponents: svns(PLATFORM.components),
          pcesvn: PLATFORM.pceSvn,
          // Like TEE_TCB_SVN of the simulated module.
          tdxtcbcomponents: svns(new Uint8Array(16)),
        },
        tcbDate: iso(window.notBefore),
        tcbStatus: "UpToDate",
      },
    ],
  };
}

/** Identity of the simulated quoting enclave, to be written as JSON. */
export function qeIdentity(seed: string, window: Window) {
  const report = qeReport(seed);
  return {
    id: "TD_QE",
    version: 2,
    ...dates(window),
    tcbEvaluationDataNumber: EVALUATION,
    notice: NOTICE,
    miscselect: "00000000",
    miscselectMask: "FFFFFFFF",
    attributes: "11000000000000000000000000000000",
    attributesMask: "FBFFFFFFFFFFFFFF0000000000000000",
    mrsigner: bytesToHex(report.mrSigner).toUpperCase(),
    isvprodid: report.isvProdId,
    tcbLevels: [{ tcb: { isvsvn: report.isvSvn }, tcbDate: iso(window.notBefore), tcbStatus: "UpToDate" }],
  };
}
