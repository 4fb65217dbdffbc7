import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { boolean, integer, oid, sequence } from "../../src/pki/der-write.js";
import { authorityKeyId, basicConstraints, extension, KeyUsage, keyUsage } from "../../src/pki/extensions.js";
import { type NameParts, writeName } from "../../src/pki/name.js";
import { Oid } from "../../src/pki/oids.js";
import { certificateContent, type Part } from "../../src/simulated/certificates.js";
import { NOTICE } from "../../src/simulated/names.js";
import { CERTIFICATES_VALID } from "../../src/simulated/platform.js";
import type { ReasonCode } from "../../src/verify/reasons.js";
import type { Alteration } from "./alteration.js";
import { type Forge, PARTS, replaced } from "./forge.js";

const YEAR = { early: new Date("2021-01-01T00:00:00Z"), late: new Date("2027-01-01T00:00:00Z") };
const CA_BITS = KeyUsage.keyCertSign | KeyUsage.cRLSign;

const named = (commonName: string): Uint8Array =>
  writeName({
    commonName,
    organizationName: NOTICE,
    localityName: "Nowhere",
    stateOrProvinceName: "NA",
    countryName: "XX",
  } satisfies NameParts);

/** Puts an extension in the place of the one of the same name, or behind all if there is none. */
function extend(forge: Forge, part: Part, id: string, ...instead: Uint8Array[]): void {
  const prefix = bytesToHex(oid(id));
  const { extensions } = forge.certificates[part];
  const at = extensions.findIndex((one) => bytesToHex(one).slice(4).startsWith(prefix));
  const sgx = extensions.findIndex((one) => bytesToHex(one).slice(8).startsWith(prefix));
  const place = Math.max(at, sgx);
  const rest = extensions.filter((_, i) => i !== place);
  forge.certificates[part].extensions = [...rest, ...instead];
}

const parts = (
  which: readonly Part[],
  name: string,
  codes: ReasonCode | readonly ReasonCode[],
  change: (forge: Forge, part: Part) => void,
): Alteration[] => which.map((part) => [`${part}: ${name}`, codes, (forge) => change(forge, part)]);

const ISSUED = ["pckCa", "pck", "tcbSigner"] as const;
const LEAVES = ["pck", "tcbSigner"] as const;
const unknown = extension("2.5.29.99", true, sequence());

const rules: readonly Alteration[] = [
  ...parts(PARTS, "expired", "CERTIFICATE_TIME", (forge, part) => {
    forge.certificates[part].notAfter = YEAR.early;
  }),
  ...parts(PARTS, "not valid yet", "CERTIFICATE_TIME", (forge, part) => {
    forge.certificates[part].notBefore = YEAR.late;
  }),
  ...parts(ISSUED, "signed by another key", "CERTIFICATE_SIGNATURE", (forge, part) => {
    forge.signers[part] = "another";
  }),
  ...parts(ISSUED, "issued by another name", "CERTIFICATE_ISSUER", (forge, part) => {
    forge.certificates[part].issuer = named("Somebody else's CA");
  }),
  ...parts(PARTS, "names another key of its issuer", "CERTIFICATE_ISSUER", (forge, part) =>
    extend(forge, part, Oid.authorityKeyIdentifier, authorityKeyId(new Uint8Array(20))),
  ),
  ...parts(["root", "pckCa"], "not a CA", "CERTIFICATE_CA", (forge, part) =>
    extend(forge, part, Oid.basicConstraints, basicConstraints(false)),
  ),
  ...parts(["root", "pckCa"], "without basicConstraints", "CERTIFICATE_CA", (forge, part) =>
    extend(forge, part, Oid.basicConstraints),
  ),
  ...parts(LEAVES, "a CA", "CERTIFICATE_CA", (forge, part) =>
    extend(forge, part, Oid.basicConstraints, basicConstraints(true, 0)),
  ),
  ...parts(["root"], "no CA allowed below", "CERTIFICATE_CA", (forge, part) =>
    extend(forge, part, Oid.basicConstraints, basicConstraints(true, 0)),
  ),
  ...parts(LEAVES, "only for keyCertSign", "CERTIFICATE_USAGE", (forge, part) =>
    extend(forge, part, Oid.keyUsage, keyUsage(KeyUsage.keyCertSign)),
  ),
  ...parts(LEAVES, "for keyCertSign as well", "CERTIFICATE_USAGE", (forge, part) =>
    extend(forge, part, Oid.keyUsage, keyUsage(KeyUsage.digitalSignature | KeyUsage.keyCertSign)),
  ),
  ...parts(["root", "pckCa"], "only for digitalSignature", "CERTIFICATE_USAGE", (forge, part) =>
    extend(forge, part, Oid.keyUsage, keyUsage(KeyUsage.digitalSignature)),
  ),
  ...parts(["root", "pckCa"], "not for cRLSign", "CERTIFICATE_USAGE", (forge, part) =>
    extend(forge, part, Oid.keyUsage, keyUsage(CA_BITS & ~KeyUsage.cRLSign)),
  ),
  ...parts(["pckCa"], "without keyUsage", "CERTIFICATE_USAGE", (forge, part) => extend(forge, part, Oid.keyUsage)),
  ...parts(LEAVES, "called something else", "CERTIFICATE_ROLE", (forge, part) => {
    forge.certificates[part].subject = named("SGX Something");
  }),
  ["pckCa: called something else", ["CERTIFICATE_ROLE"], renameCa],
  ...parts(["pckCa", "tcbSigner"], "with the SGX extension", "CERTIFICATE_ROLE", (forge, part) => {
    const [sgx] = forge.certificates.pck.extensions.slice(-1);
    extend(forge, part, Oid.sgx, sgx ?? unknown);
  }),
];

function renameCa(forge: Forge): void {
  const name = named("SGX PCK Platform");
  forge.certificates.pckCa.subject = name;
  forge.certificates.pck.issuer = name;
  forge.crls.pckCa.issuer = name;
}

/** Distinguished encoding and the kind of certificate: each is a change of what is signed, and signed. */
const encodings: readonly (readonly [name: string, change: (tbs: Uint8Array) => Uint8Array])[] = [
  ["version 2", (tbs) => replaced(tbs, "a003020102", "a003020101")],
  ["version 4", (tbs) => replaced(tbs, "a003020102", "a003020103")],
  ["another algorithm within", (tbs) => replaced(tbs, "2a8648ce3d040302", "2a8648ce3d040303")],
  ["a negative serial number", (tbs) => tbs.with(tbs.findIndex((_, i) => isSerial(tbs, i)) + 2, 0x80)],
  [
    "notBefore with an offset",
    (tbs) => replaced(tbs, "170d3230303130313030303030305a", "170d3230303130313030303030302b"),
  ],
  ["notBefore in month 13", (tbs) => replaced(tbs, "170d3230303130313030", "170d3230313330313030")],
  ["notAfter on the 32nd", (tbs) => replaced(tbs, "170d343931323331", "170d343931323332")],
  ["a key of another curve", (tbs) => replaced(tbs, "2a8648ce3d030107", "2a8648ce3d030106")],
  ["a key of another kind", (tbs) => replaced(tbs, "2a8648ce3d0201", "2a8648ce3d0202")],
  ["a key with unused bits", (tbs) => replaced(tbs, "03420004", "03420104")],
  ["a compressed key's first byte", (tbs) => replaced(tbs, "03420004", "03420002")],
  ["a key off the curve", (tbs) => withByteAfter(tbs, "03420004", 10)],
  ["TRUE as 1", (tbs) => replaced(tbs, "551d0f0101ff", "551d0f010101")],
  ["FALSE, a default, encoded", (tbs) => replaced(tbs, "551d0f0101ff", "551d0f010100")],
  ["an empty object identifier's arc", (tbs) => replaced(tbs, "0603551d0f", "060355800f")],
  ["a name in another kind of string", (tbs) => replaced(tbs, "06035504030c", "060355040316")],
  ["a name in Latin 1", (tbs) => replaced(tbs, "53494d554c41544544", "53494d554c4154e444")],
  ["a country with a star", (tbs) => replaced(tbs, "060355040613025858", "06035504061302582a")],
];

const isSerial = (tbs: Uint8Array, i: number): boolean => tbs[i] === 2 && tbs[i + 1] === 20;

function withByteAfter(bytes: Uint8Array, pattern: string, distance: number): Uint8Array {
  const at = Math.floor(bytesToHex(bytes).indexOf(pattern) / 2) + distance;
  return bytes.with(at, (bytes[at] ?? 0) ^ 1);
}

const tbsAlterations: Alteration[] = encodings.map(([name, change]) => [
  `tcbSigner: ${name}`,
  "CERTIFICATE_FORMAT",
  (forge) => {
    forge.tbs.tcbSigner = change;
  },
]);

const contents: readonly Alteration[] = [
  ...parts(LEAVES, "an extension that is critical and unknown", "CERTIFICATE_FORMAT", (forge, part) =>
    extend(forge, part, "2.5.29.99", unknown),
  ),
  ...parts(LEAVES, "an extension twice", "CERTIFICATE_FORMAT", (forge, part) =>
    extend(forge, part, Oid.keyUsage, keyUsage(KeyUsage.digitalSignature), keyUsage(KeyUsage.digitalSignature)),
  ),
  ...parts(["tcbSigner"], "a serial number of 0", "CERTIFICATE_FORMAT", (forge, part) => {
    forge.certificates[part].serial = Uint8Array.of(0);
  }),
  ...parts(["tcbSigner"], "a serial number of 21 bytes", "CERTIFICATE_FORMAT", (forge, part) => {
    forge.certificates[part].serial = new Uint8Array(21).fill(1);
  }),
  ...parts(["tcbSigner"], "a name of 65 characters", "CERTIFICATE_FORMAT", (forge, part) => {
    forge.certificates[part].subject = named("TCB".padEnd(65, "B"));
  }),
  ...parts(["tcbSigner"], "valid backwards", "CERTIFICATE_FORMAT", (forge, part) => {
    forge.certificates[part].notBefore = YEAR.late;
    forge.certificates[part].notAfter = YEAR.early;
  }),
  ...parts(["tcbSigner"], "keyUsage with a byte too many", "CERTIFICATE_FORMAT", (forge, part) =>
    extend(forge, part, Oid.keyUsage, extension(Oid.keyUsage, true, hexToBytes("0303008000"))),
  ),
  ...parts(["tcbSigner"], "a path length without CA", "CERTIFICATE_FORMAT", (forge, part) =>
    extend(forge, part, Oid.basicConstraints, extension(Oid.basicConstraints, true, sequence(integer(0)))),
  ),
  ...parts(["tcbSigner"], "CA:FALSE encoded", "CERTIFICATE_FORMAT", (forge, part) =>
    extend(forge, part, Oid.basicConstraints, extension(Oid.basicConstraints, true, sequence(boolean(false)))),
  ),
  ...parts(["tcbSigner"], "something behind an extension's value", "CERTIFICATE_FORMAT", (forge, part) =>
    extend(forge, part, Oid.basicConstraints, extension(Oid.basicConstraints, true, hexToBytes("30000500"))),
  ),
];

const outer: readonly (readonly [name: string, change: (der: Uint8Array) => Uint8Array])[] = [
  ["a byte behind it", (der) => Uint8Array.of(...der, 0)],
  ["a length in a byte too many", (der) => Uint8Array.of(0x30, 0x83, 0, ...der.slice(2))],
  ["an indefinite length", (der) => Uint8Array.of(0x30, 0x80, ...der.slice(4), 0, 0)],
  ["cut", (der) => der.slice(0, -1)],
  ["another algorithm outside", (der) => replaced(der, "2a8648ce3d04030203", "2a8648ce3d04030303")],
];

const outerAlterations: Alteration[] = outer.map(([name, change]) => [
  `tcbSigner: ${name}`,
  "CERTIFICATE_FORMAT",
  (forge) => {
    forge.signed.tcbSigner = change;
  },
]);

const chained = (name: keyof Forge["chains"], roles: Part[]) => (forge: Forge) => {
  forge.chains[name] = roles;
};

const chains: readonly Alteration[] = [
  ["quote: without the root", "CHAIN_LENGTH", chained("quote", ["pck", "pckCa"])],
  ["quote: without the CA", "CHAIN_LENGTH", chained("quote", ["pck", "root"])],
  ["quote: the PCK only", "CHAIN_LENGTH", chained("quote", ["pck"])],
  ["quote: the CA twice", "CHAIN_LENGTH", chained("quote", ["pck", "pckCa", "pckCa", "root"])],
  ["quote: the root twice", "CHAIN_LENGTH", chained("quote", ["pck", "pckCa", "root", "root"])],
  ["quote: the other way round", "CHAIN_ROOT", chained("quote", ["root", "pckCa", "pck"])],
  ["TCB info: signer only", "CHAIN_LENGTH", chained("tcbInfo", ["tcbSigner"])],
  ["QE identity: signer only", "CHAIN_LENGTH", chained("qeIdentity", ["tcbSigner"])],
  ["TCB info: three", "CHAIN_LENGTH", chained("tcbInfo", ["tcbSigner", "pckCa", "root"])],
  ["PCK CRL: CA only", "CHAIN_LENGTH", chained("crl", ["pckCa"])],
  ["PCK CRL: a PCK chain", "CHAIN_LENGTH", chained("crl", ["pck", "pckCa", "root"])],
  [
    "PCK CRL: the TCB signer's chain",
    ["CERTIFICATE_CA", "CERTIFICATE_USAGE", "CERTIFICATE_ROLE", "CRL_ISSUER"],
    chained("crl", ["tcbSigner", "root"]),
  ],
  [
    "documents signed by the PCK CA",
    ["CERTIFICATE_CA", "CERTIFICATE_USAGE", "CERTIFICATE_ROLE"],
    (forge) => {
      forge.documentSigner = "pckCa";
      forge.chains.tcbInfo = ["pckCa", "root"];
      forge.chains.qeIdentity = ["pckCa", "root"];
    },
  ],
  [
    "documents signed by the PCK",
    "CHAIN_LENGTH",
    (forge) => {
      forge.documentSigner = "pck";
      forge.chains.tcbInfo = ["pck", "pckCa", "root"];
      forge.chains.qeIdentity = ["pck", "pckCa", "root"];
    },
  ],
  [
    "documents signed by the root",
    ["CHAIN_LENGTH"],
    (forge) => {
      forge.documentSigner = "root";
      forge.chains.tcbInfo = ["root"];
      forge.chains.qeIdentity = ["root"];
    },
  ],
  [
    "another root of the same name and key",
    "CHAIN_ROOT",
    (forge) => {
      forge.after = (made) => {
        const other = { ...certificateContent("forge", "root", CERTIFICATES_VALID), serial: Uint8Array.of(7) };
        forge.certificates.root = other;
        made.root = forge.certificate("root");
      };
    },
  ],
];

export const CHAIN_ALTERATIONS: readonly Alteration[] = [
  ...rules,
  ...contents,
  ...tbsAlterations,
  ...outerAlterations,
  ...chains,
];
