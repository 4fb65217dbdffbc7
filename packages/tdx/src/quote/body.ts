import type { ByteReader } from "../bytes/reader.js";
import type { Struct } from "../bytes/struct.js";
import { ENCLAVE_REPORT } from "./enclave-report.js";
import { QuoteError } from "./errors.js";
import { type QuoteHeader, TEE_TYPE_SGX, TEE_TYPE_TDX } from "./header.js";
import { BODY_ENCLAVE, BODY_TD_10, BODY_TD_15, type QuoteBody } from "./quote.js";
import { TD_REPORT_10, TD_REPORT_15 } from "./td-report-body.js";

/** Body types that a version of the quote has for a type of TEE. */
export function bodyTypes(version: number, teeType: number): readonly QuoteBody["type"][] {
  if (teeType === TEE_TYPE_SGX) return [BODY_ENCLAVE];
  if (teeType !== TEE_TYPE_TDX || version === 3) return [];
  return version === 4 ? [BODY_TD_10] : [BODY_TD_10, BODY_TD_15];
}

/** Bytes of a body, without the descriptor that version 5 has before it. */
export function bodySize(type: QuoteBody["type"]): number {
  return LAYOUTS[type].size;
}

const LAYOUTS: Readonly<Record<QuoteBody["type"], Pick<Struct<never>, "size">>> = {
  [BODY_ENCLAVE]: ENCLAVE_REPORT,
  [BODY_TD_10]: TD_REPORT_10,
  [BODY_TD_15]: TD_REPORT_15,
};

/** Reads the body, in version 5 with its descriptor. @throws {QuoteError} for a type or a size that cannot be */
export function readBody(header: QuoteHeader, reader: ByteReader): QuoteBody {
  const possible = bodyTypes(header.version, header.teeType);
  if (header.version !== 5) return readReport(possible[0] as QuoteBody["type"], reader);
  const at = reader.at;
  const number = reader.u16("body type");
  const type = possible.find((known) => known === number);
  if (type === undefined) {
    const what = `body type ${number} for TEE type 0x${header.teeType.toString(16)}`;
    throw new QuoteError("body-type", at, `${what}; it may be ${possible.join(" or ")}`);
  }
  const size = reader.u32("body size");
  if (size !== bodySize(type))
    throw new QuoteError("body-size", at + 2, `body size ${size}; type ${type} has ${bodySize(type)} bytes`);
  return readReport(type, reader);
}

function readReport(type: QuoteBody["type"], reader: ByteReader): QuoteBody {
  const from = reader.bytes(bodySize(type), "body");
  switch (type) {
    case BODY_ENCLAVE:
      return { type, report: ENCLAVE_REPORT.read(from) };
    case BODY_TD_10:
      return { type, report: TD_REPORT_10.read(from) };
    case BODY_TD_15:
      return { type, report: TD_REPORT_15.read(from) };
  }
}

/** The bytes of a body's report, without a descriptor. @throws {FieldError} for a value that does not fit */
export function writeReport(body: QuoteBody): Uint8Array {
  switch (body.type) {
    case BODY_ENCLAVE:
      return ENCLAVE_REPORT.write({ ...body.report });
    case BODY_TD_10:
      return TD_REPORT_10.write({ ...body.report });
    case BODY_TD_15:
      return TD_REPORT_15.write({ ...body.report });
  }
}
