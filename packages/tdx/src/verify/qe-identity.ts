import { Document } from "./document.js";
import { JsonError } from "./json.js";
import { readSvnLevels, type SvnLevel } from "./tcb-info.js";
import { QE_STATUSES } from "./tcb-status.js";

/** Intel's identity of a quoting enclave, version 2. Source: Intel PCS API, version 4. */
export interface QeIdentity {
  readonly id: "TD_QE" | "QE";
  /** Both inclusive, in ms since 1970. */
  readonly issueDate: number;
  readonly nextUpdate: number;
  readonly tcbEvaluationDataNumber: number;
  readonly miscSelect: number;
  readonly miscSelectMask: number;
  /** 16 bytes each. */
  readonly attributes: Uint8Array;
  readonly attributesMask: Uint8Array;
  /** 32 bytes. */
  readonly mrSigner: Uint8Array;
  readonly isvProdId: number;
  /** From the highest to the lowest. */
  readonly levels: readonly SvnLevel<(typeof QE_STATUSES)[number]>[];
}

/** Reads the text of an identity. @throws {JsonError} that says what is wrong; nothing else */
export function parseQeIdentity(text: string): QeIdentity {
  const identity = Document.parse(text, "enclaveIdentity");
  if (identity.uint("version", 2 ** 31) !== 2) throw new JsonError("enclaveIdentity.version is not 2");
  return {
    id: identity.word("id", ["TD_QE", "QE"]),
    issueDate: identity.date("issueDate"),
    nextUpdate: identity.date("nextUpdate"),
    tcbEvaluationDataNumber: identity.uint("tcbEvaluationDataNumber", 2 ** 31),
    miscSelect: u32(identity.hex("miscselect", 4)),
    miscSelectMask: u32(identity.hex("miscselectMask", 4)),
    attributes: identity.hex("attributes", 16),
    attributesMask: identity.hex("attributesMask", 16),
    mrSigner: identity.hex("mrsigner", 32),
    isvProdId: identity.uint("isvprodid", 65_535),
    levels: readSvnLevels(identity, QE_STATUSES),
  };
}

/** The bytes are in the order of the report, little-endian. */
const u32 = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
