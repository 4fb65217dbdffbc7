import { p256 } from "@noble/curves/nist.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { publicKeyOf } from "../../src/pki/ecdsa.js";
import { ENCLAVE_REPORT } from "../../src/quote/enclave-report.js";
import { TD_REPORT_15 } from "../../src/quote/td-report-body.js";
import { seedSecret } from "../../src/simulated/secrets.js";
import type { ReasonCode } from "../../src/verify/reasons.js";
import { type Alteration, flipped, inQuote, patched } from "./alteration.js";
import { SEED } from "./forge.js";

/** Offsets in a quote of version 5 with the body of TDX 1.5, in bytes. */
export const AT = {
  vendor: 12,
  userData: 28,
  bodyType: 48,
  bodySize: 50,
  body: 54,
  length: 702,
  signature: 706,
  key: 770,
  outerType: 834,
  outerSize: 836,
  qeReport: 840,
  qeSignature: 1224,
  authLength: 1288,
  auth: 1290,
  innerType: 1322,
  innerSize: 1324,
  pem: 1328,
} as const;

const ORDER = [...hexToBytes(p256.Point.Fn.ORDER.toString(16))];
const ZERO = Array<number>(32).fill(0);
const OTHER_KEY = [...publicKeyOf(seedSecret(SEED, "another key")).slice(1)];

/** Over the attestation key and 32 zeros. */
const HASH_OVER_32 = sha256(concatBytes(publicKeyOf(seedSecret(SEED, "attestation key")).slice(1), new Uint8Array(32)));

const swapHalves = (quote: Uint8Array, at: number): undefined => {
  const [r, s] = [quote.slice(at, at + 32), quote.slice(at + 32, at + 64)];
  quote.set(concatBytes(s, r), at);
};

const format: readonly Alteration[] = [
  ["version 6", "QUOTE_FORMAT", patched(0, 6)],
  ["version 3", "QUOTE_FORMAT", patched(0, 3)],
  ["version 4 with a descriptor", "QUOTE_FORMAT", patched(0, 4)],
  ["attestation key type 3", "QUOTE_FORMAT", patched(2, 3)],
  ["TEE type 0x82", "QUOTE_FORMAT", patched(4, 0x82)],
  ["TEE type SGX", "QUOTE_FORMAT", patched(4, 0)],
  ["body type 0", "QUOTE_FORMAT", patched(AT.bodyType, 0)],
  ["body type 1", "QUOTE_FORMAT", patched(AT.bodyType, 1)],
  ["body type 2", "QUOTE_FORMAT", patched(AT.bodyType, 2)],
  ["body type 4", "QUOTE_FORMAT", patched(AT.bodyType, 4)],
  ["body size 584", "QUOTE_FORMAT", patched(AT.bodySize, 0x48, 2)],
  ["body size 647", "QUOTE_FORMAT", patched(AT.bodySize, 0x87, 2)],
  ["body size with a high bit", "QUOTE_FORMAT", patched(AT.bodySize + 3, 0x80)],
  ["signature data a byte longer", "QUOTE_FORMAT", flipped(AT.length)],
  ["signature data of 4 GiB", "QUOTE_FORMAT", patched(AT.length, 255, 255, 255, 255)],
  ["outer certification type 5", "QUOTE_FORMAT", patched(AT.outerType, 5)],
  ["outer certification type 7", "QUOTE_FORMAT", patched(AT.outerType, 7)],
  ["outer certification size", "QUOTE_FORMAT", flipped(AT.outerSize)],
  ["authentication data of 31 bytes", "QUOTE_FORMAT", patched(AT.authLength, 31)],
  ["inner certification type 6", "QUOTE_FORMAT", patched(AT.innerType, 6)],
  ["inner certification type 8", "QUOTE_FORMAT", patched(AT.innerType, 8)],
  ["inner certification size", "QUOTE_FORMAT", flipped(AT.innerSize)],
  ["cut in the body", "QUOTE_FORMAT", inQuote((quote) => quote.slice(0, 600))],
  ["cut in the signature", "QUOTE_FORMAT", inQuote((quote) => quote.slice(0, AT.key))],
  ["cut by a byte", "QUOTE_FORMAT", inQuote((quote) => quote.slice(0, -1))],
  [
    "version 4 said to be 5",
    "QUOTE_FORMAT",
    (forge) => {
      forge.version = 4;
      patched(0, 5)(forge);
    },
  ],
  ["text behind it", "QUOTE_TRAILING", inQuote((quote) => concatBytes(quote, utf8ToBytes("text")))],
  ["zeros and a one behind it", "QUOTE_TRAILING", inQuote((quote) => concatBytes(quote, Uint8Array.of(0, 0, 1)))],
  ...[1, 2, 3, 4, 7].map(
    (type): Alteration => [`inner certification type ${type}`, "CERTIFICATION_TYPE", patched(AT.innerType, type)],
  ),
];

/** What else these fields lead to, whoever signed them. */
const bodyCodes: Readonly<Record<string, ReasonCode>> = { tdAttributes: "TD_ATTRIBUTES", mrServiceTd: "SERVICE_TD" };

const bodyFields: readonly Alteration[] = Object.keys(TD_REPORT_15.read(new Uint8Array(TD_REPORT_15.size))).map(
  (name) => [
    `${name} changed after signing`,
    ["QUOTE_SIGNATURE", ...[bodyCodes[name] ?? []].flat()],
    flipped(AT.body + TD_REPORT_15.offsetOf(name as never) + (name === "xfam" ? 0 : 1), 2),
  ],
);

const qeFields: readonly Alteration[] = Object.keys(ENCLAVE_REPORT.read(new Uint8Array(ENCLAVE_REPORT.size)))
  .filter((name) => name !== "reportData")
  .map((name) => [
    `QE report: ${name} changed after signing`,
    "QE_REPORT_SIGNATURE",
    flipped(AT.qeReport + ENCLAVE_REPORT.offsetOf(name as never)),
  ]);

const signatures: readonly Alteration[] = [
  ["reserved bytes of the header", "QUOTE_SIGNATURE", flipped(8)],
  ["user data", "QUOTE_SIGNATURE", flipped(AT.userData)],
  ["vendor id changed after signing", ["QUOTE_SIGNATURE", "QUOTE_VENDOR"], flipped(AT.vendor)],
  [
    "another vendor id",
    "QUOTE_VENDOR",
    (forge) => {
      forge.header = { qeVendorId: new Uint8Array(16).fill(7) };
    },
  ],
  ["r is 0", "QUOTE_SIGNATURE", patched(AT.signature, ...ZERO)],
  ["s is 0", "QUOTE_SIGNATURE", patched(AT.signature + 32, ...ZERO)],
  ["r and s are 0", "QUOTE_SIGNATURE", patched(AT.signature, ...ZERO, ...ZERO)],
  ["r is the order", "QUOTE_SIGNATURE", patched(AT.signature, ...ORDER)],
  ["s is the order", "QUOTE_SIGNATURE", patched(AT.signature + 32, ...ORDER)],
  ["r and s are 1", "QUOTE_SIGNATURE", patched(AT.signature, ...ZERO.with(31, 1), ...ZERO.with(31, 1))],
  ["r and s swapped", "QUOTE_SIGNATURE", inQuote((quote) => swapHalves(quote, AT.signature))],
  ["attestation key off the curve", ["ATTESTATION_KEY", "QE_REPORT_DATA"], flipped(AT.key)],
  ["attestation key of zeros", ["ATTESTATION_KEY", "QE_REPORT_DATA"], patched(AT.key, ...ZERO, ...ZERO)],
  ["another attestation key", ["QUOTE_SIGNATURE", "QE_REPORT_DATA"], patched(AT.key, ...OTHER_KEY)],
  ["authentication data", "QE_REPORT_DATA", flipped(AT.auth + 31)],
  ["QE report data changed after signing", ["QE_REPORT_DATA", "QE_REPORT_SIGNATURE"], flipped(AT.qeReport + 320)],
  ["signature of the QE report", "QE_REPORT_SIGNATURE", flipped(AT.qeSignature + 40)],
  ["signature of the QE report: r is 0", "QE_REPORT_SIGNATURE", patched(AT.qeSignature, ...ZERO)],
  ["signature of the QE report: s is the order", "QE_REPORT_SIGNATURE", patched(AT.qeSignature + 32, ...ORDER)],
  [
    "QE report signed by another key",
    "QE_REPORT_SIGNATURE",
    (forge) => {
      forge.pckSecret = seedSecret(SEED, "another key");
    },
  ],
  [
    "QE report signed by the PCK CA",
    "QE_REPORT_SIGNATURE",
    (forge) => {
      forge.pckSecret = seedSecret(SEED, "pckCa");
    },
  ],
  [
    "QE report data: something behind the hash",
    "QE_REPORT_DATA",
    (forge) => {
      forge.qeReportData = (data) => data.with(63, 1);
    },
  ],
  [
    "QE report data: zeros",
    "QE_REPORT_DATA",
    (forge) => {
      forge.qeReportData = () => new Uint8Array(64);
    },
  ],
  ...[0, 16, 31, 33, 64].map(
    (size): Alteration => [
      `QE report data: hash over 32 bytes instead of the ${size} of the authentication data`,
      "QE_REPORT_DATA",
      (forge) => {
        forge.qeAuthData = new Uint8Array(size);
        forge.qeReportData = () => concatBytes(HASH_OVER_32, new Uint8Array(32));
      },
    ],
  ),
];

export const QUOTE_ALTERATIONS: readonly Alteration[] = [...format, ...bodyFields, ...qeFields, ...signatures];
