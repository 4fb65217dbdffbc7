import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { der, integer, oid, sequence } from "../../src/pki/der-write.js";
import { extension } from "../../src/pki/extensions.js";
import type { ReasonCode } from "../../src/verify/reasons.js";
import type { Alteration } from "./alteration.js";
import { type Forge, replaced } from "./forge.js";

const LISTS = ["root", "pckCa"] as const;
const TBS = { root: "rootCrl", pckCa: "pckCrl" } as const;
type Issuer = (typeof LISTS)[number];

const lists = (
  name: string,
  codes: ReasonCode | readonly ReasonCode[],
  change: (forge: Forge, issuer: Issuer) => void,
) => LISTS.map((issuer): Alteration => [`CRL of ${issuer}: ${name}`, codes, (forge) => change(forge, issuer)]);

/** Changes of what is signed, which is signed then. */
const tbs = (name: string, change: (tbs: Uint8Array) => Uint8Array) =>
  lists(name, "CRL_FORMAT", (forge, issuer) => {
    forge.tbs[TBS[issuer]] = change;
  });

/** Changes after signing. */
const signed = (name: string, change: (der: Uint8Array) => Uint8Array) =>
  lists(name, "CRL_FORMAT", (forge, issuer) => {
    forge.signed[TBS[issuer]] = change;
  });

/** The list of what is signed, with other parts from the 7th on: entries and extensions. */
function withTail(list: Uint8Array, ...tail: readonly Uint8Array[]): Uint8Array {
  const at = bytesToHex(list).lastIndexOf("a0");
  const extensions = Math.floor(at / 2);
  const head = list.slice(list[1] === 0x81 ? 3 : 4, findExtensions(list, extensions));
  return der(0x30, head, ...tail);
}

/** The extensions are the last part and have a tag that no list of ours has elsewhere before a SEQUENCE. */
function findExtensions(list: Uint8Array, from: number): number {
  for (let i = from; i > 0; i--) {
    if (list[i] === 0xa0 && list[i + 2] === 0x30 && i + 2 + (list[i + 1] ?? 0) === list.length) return i;
  }
  throw new Error("no extensions");
}

const critical = (id: string) => (list: Uint8Array) =>
  withTail(list, der(0xa0, sequence(extension(id, true, integer(1)))));

const revoke = (name: string, issuer: Issuer, part: "root" | "pckCa" | "pck" | "tcbSigner"): Alteration => [
  name,
  "CERTIFICATE_REVOKED",
  (forge) => {
    const date = new Date("2025-06-01T00:00:00Z");
    forge.crls[issuer].revoked = [
      { serial: Uint8Array.of(1, 2, 3), date },
      { serial: forge.certificates[part].serial, date },
    ];
  },
];

export const REVOCATION_ALTERATIONS: readonly Alteration[] = [
  revoke("the PCK is revoked", "pckCa", "pck"),
  revoke("the PCK CA is revoked", "root", "pckCa"),
  revoke("the TCB signer is revoked", "root", "tcbSigner"),
  revoke("the root is revoked", "root", "root"),
  ...lists("not current any more", "CRL_TIME", (forge, issuer) => {
    forge.crls[issuer].thisUpdate = new Date("2025-12-01T00:00:00Z");
    forge.crls[issuer].nextUpdate = new Date("2026-01-14T23:59:59Z");
  }),
  ...lists("not current yet", "CRL_TIME", (forge, issuer) => {
    forge.crls[issuer].thisUpdate = new Date("2026-01-15T00:00:01Z");
  }),
  ...lists("signed by another key", "CRL_SIGNATURE", (forge, issuer) => {
    forge.crlSigners[issuer] = "another";
  }),
  ...lists("signed by the PCK", "CRL_SIGNATURE", (forge, issuer) => {
    forge.crlSigners[issuer] = "pck";
  }),
  ...lists("signed by the TCB signer", "CRL_SIGNATURE", (forge, issuer) => {
    forge.crlSigners[issuer] = "tcbSigner";
  }),
  ...lists("by another name", "CRL_ISSUER", (forge, issuer) => {
    forge.crls[issuer].issuer = forge.certificates.tcbSigner.subject;
  }),
  ...lists("names another key", "CRL_ISSUER", (forge, issuer) => {
    forge.crls[issuer].authorityKeyId = new Uint8Array(20);
  }),
  [
    "the lists are swapped",
    ["CRL_ISSUER", "CRL_SIGNATURE"],
    (forge) => {
      forge.after = ({ collateral }) => {
        const { root_ca_crl, pck_crl } = collateral;
        collateral.root_ca_crl = pck_crl ?? "";
        collateral.pck_crl = root_ca_crl ?? "";
      };
    },
  ],
  ...tbs("version 3", (list) => replaced(list, "020101300a06082a8648ce3d040302", "020102300a06082a8648ce3d040302")),
  ...tbs("a delta list", critical("2.5.29.27")),
  ...tbs("a partial list", critical("2.5.29.28")),
  ...tbs("an extension that is critical and unknown", critical("2.5.29.99")),
  ...tbs("no extensions in a list of them", (list) => withTail(list, der(0xa0, sequence()))),
  ...tbs("an empty list of revoked certificates", (list) => withTail(list, sequence())),
  ...tbs("a revoked certificate without a date", (list) => withTail(list, sequence(sequence(integer(7))))),
  ...tbs("a revoked certificate with a negative serial number", (list) =>
    withTail(list, sequence(sequence(hexToBytes("020180"), hexToBytes("170d3235303130313030303030305a")))),
  ),
  ...tbs("an entry with a critical extension that is unknown", (list) =>
    withTail(
      list,
      sequence(
        sequence(
          integer(7),
          hexToBytes("170d3235303130313030303030305a"),
          sequence(extension("2.5.29.29", true, sequence())),
        ),
      ),
    ),
  ),
  ...tbs("no next update", (list) => {
    const text = bytesToHex(list);
    const second = text.lastIndexOf("170d") / 2;
    return der(0x30, list.slice(list[1] === 0x81 ? 3 : 4, second), list.slice(second + 15));
  }),
  ...tbs("another algorithm within", (list) => replaced(list, "2a8648ce3d040302", "2a8648ce3d040303")),
  ...signed("a byte behind it", (list) => Uint8Array.of(...list, 0)),
  ...signed("cut", (list) => list.slice(0, -1)),
  ...signed("empty", () => new Uint8Array()),
  ...signed("an algorithm with parameters", (list) =>
    replaced(
      list,
      bytesToHex(sequence(oid("1.2.840.10045.4.3.2"))),
      bytesToHex(sequence(oid("1.2.840.10045.4.3.2"), hexToBytes("0500"))),
    ),
  ),
];
