import { bytesToHex } from "@noble/hashes/utils.js";
import { equal } from "../bytes/equal.js";
import type { SgxExtension } from "../pki/sgx-extension.js";
import type { EnclaveReport } from "../quote/enclave-report.js";
import { TEE_TYPE_TDX } from "../quote/header.js";
import type { TdReport10 } from "../quote/td-report-body.js";
import type { QeIdentity } from "./qe-identity.js";
import type { Findings } from "./reasons.js";
import type { TcbInfo } from "./tcb-info.js";
import { findModule } from "./tcb-match.js";

/** Checks that the collateral is for this kind of quote and this family of platforms. */
export function checkCollateralFor(
  findings: Findings,
  teeType: number,
  pck: SgxExtension,
  info: TcbInfo,
  identity: QeIdentity,
): void {
  const tdx = teeType === TEE_TYPE_TDX;
  if (info.id !== (tdx ? "TDX" : "SGX")) findings.add("TCB_INFO_MISMATCH", `The TCB info is for ${info.id}.`);
  if (identity.id !== (tdx ? "TD_QE" : "QE"))
    findings.add("QE_IDENTITY_MISMATCH", `The identity is that of enclave ${identity.id}.`);
  for (const name of ["fmspc", "pceId"] as const) {
    if (equal(info[name], pck[name])) continue;
    const [has, wants] = [bytesToHex(info[name]), bytesToHex(pck[name])];
    findings.add("TCB_INFO_MISMATCH", `The TCB info is for ${name} ${has} and the platform has ${wants}.`);
  }
}

/** Checks that the quoting enclave is the one of the identity. */
export function checkQe(findings: Findings, report: EnclaveReport, identity: QeIdentity): void {
  const differ = (what: string, has: string, wants: string) =>
    findings.add("QE_IDENTITY_MISMATCH", `${what} of the quoting enclave is ${has}; the identity has ${wants}.`);
  if (!equal(report.mrSigner, identity.mrSigner))
    differ("MRSIGNER", bytesToHex(report.mrSigner), bytesToHex(identity.mrSigner));
  if (report.isvProdId !== identity.isvProdId) differ("ISVPRODID", `${report.isvProdId}`, `${identity.isvProdId}`);
  if ((report.miscSelect & identity.miscSelectMask) >>> 0 !== identity.miscSelect)
    differ("MISCSELECT", `${report.miscSelect}`, `${identity.miscSelect}`);
  // As Intel's library has it: what the identity has outside of its mask nothing matches.
  if (
    !identity.attributes.every((byte, i) => byte === ((report.attributes[i] ?? 0) & (identity.attributesMask[i] ?? 0)))
  )
    differ("ATTRIBUTES", bytesToHex(report.attributes), bytesToHex(identity.attributes));
  if (((report.attributes[0] ?? 0) & 2) !== 0) findings.add("DEBUG", "The quoting enclave is under debug.");
}

/** Checks that the TDX module is one that the TCB info knows, with its signer and attributes. */
export function checkModule(findings: Findings, report: TdReport10, info: TcbInfo): void {
  const major = report.teeTcbSvn[1] ?? 0;
  const module = major === 0 ? info.tdxModule : findModule(info, major);
  if (module === undefined) {
    findings.add("TDX_MODULE", `The TCB info does not know TDX modules of version ${major}.`);
    return;
  }
  if (!equal(report.mrSignerSeam, module.mrSigner))
    findings.add("TDX_MODULE", `MRSIGNERSEAM is ${bytesToHex(report.mrSignerSeam)}.`);
  const seam = Array.from({ length: 8 }, (_, i) => Number((report.seamAttributes >> BigInt(8 * i)) & 0xffn));
  if (seam.some((byte, i) => byte !== 0 || module.attributes[i] !== (byte & (module.attributesMask[i] ?? 0))))
    findings.add("TDX_MODULE", `SEAMATTRIBUTES is 0x${report.seamAttributes.toString(16)}.`);
}
