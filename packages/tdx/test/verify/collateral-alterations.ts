import { type Alteration, inCollateral } from "./alteration.js";
import { Forge, type Texts } from "./forge.js";

const MEMBERS = [
  "pck_crl_issuer_chain",
  "root_ca_crl",
  "pck_crl",
  "tcb_info_issuer_chain",
  "tcb_info",
  "tcb_info_signature",
  "qe_identity_issuer_chain",
  "qe_identity",
  "qe_identity_signature",
] as const;
const CHAINS = MEMBERS.filter((name) => name.endsWith("chain"));
const HEX = ["root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature"] as const;

const changed = (name: (typeof MEMBERS)[number], change: (text: string) => string) =>
  inCollateral((collateral) => {
    collateral[name] = change(collateral[name] ?? "");
  });

const envelope: readonly Alteration[] = [
  ...MEMBERS.flatMap((name): Alteration[] => [
    [`${name} is not there`, "COLLATERAL_FORMAT", inCollateral((collateral) => void delete collateral[name])],
    [
      `${name} is not text`,
      "COLLATERAL_FORMAT",
      inCollateral((collateral) => void Object.assign(collateral, { [name]: null })),
    ],
  ]),
  ...HEX.flatMap((name): Alteration[] => [
    [`${name}: a digit less`, "COLLATERAL_FORMAT", changed(name, (text) => text.slice(0, -1))],
    [`${name}: not hexadecimal`, "COLLATERAL_FORMAT", changed(name, (text) => `zz${text.slice(2)}`)],
    [`${name}: 0x before it`, "COLLATERAL_FORMAT", changed(name, (text) => `0x${text}`)],
  ]),
  ["tcb_info_signature of 63 bytes", "COLLATERAL_FORMAT", changed("tcb_info_signature", (text) => text.slice(2))],
  ["a signature in DER", "COLLATERAL_FORMAT", changed("tcb_info_signature", (text) => `3044${text}`)],
];

const pem: readonly (readonly [name: string, change: (text: string) => string])[] = [
  ["empty", () => ""],
  ["another label", (text) => text.replaceAll("CERTIFICATE", "X509 CRL")],
  ["text before", (text) => `text\n${text}`],
  ["text behind", (text) => `${text}text\n`],
  ["a space behind a line", (text) => text.replace("\n", " \n")],
  ["a character that base64 does not have", (text) => text.replace("MII", "M-I")],
  ["a line of 63", (text) => text.replace(/(?<=CERTIFICATE-----\n.{63})(.)\n(.)/, "\n$1$2")],
  ["all in one line", (text) => text.replace(/(?<=[A-Za-z0-9+/])\n(?=[A-Za-z0-9+/=])/g, "")],
  ["an empty line within", (text) => text.replace("-----\n", "-----\n\n")],
  ["no end", (text) => text.slice(0, text.lastIndexOf("-----END"))],
  ["returns only", (text) => text.replaceAll("\n", "\r")],
];

const chains: readonly Alteration[] = [
  ...pem.flatMap(([name, change]) =>
    CHAINS.map((chain): Alteration => [`${chain}: ${name}`, "CERTIFICATE_FORMAT", changed(chain, change)]),
  ),
  ...pem.map(
    ([name, change]): Alteration => [
      `chain in the quote: ${name}`,
      "CERTIFICATE_FORMAT",
      (forge) => {
        forge.pem = change;
      },
    ],
  ),
  [
    "another PCK chain beside the quote's",
    "CERTIFICATE_ROLE",
    (forge) => {
      const other = new Forge();
      other.certificates.pck.serial = Uint8Array.of(9);
      const chain = other.chain("quote");
      forge.after = ({ collateral }) => {
        collateral.pck_certificate_chain = chain;
      };
    },
  ],
];

/** The text of a document is what is signed: any other is not, though it may say the same. */
const texts: readonly Alteration[] = (["tcb_info", "qe_identity"] as const).flatMap((name): Alteration[] => {
  const code = name === "tcb_info" ? "TCB_INFO_SIGNATURE" : "QE_IDENTITY_SIGNATURE";
  return [
    [`${name}: a space behind it`, code, changed(name, (text) => `${text} `)],
    [`${name}: a space within`, code, changed(name, (text) => text.replace(":", ": "))],
    [`${name}: an escape for a character`, code, changed(name, (text) => text.replace("UpToDate", "Up\\u0054oDate"))],
    [
      `${name}: another status`,
      code,
      changed(name, (text) => text.replace("OutOfDate", "UpToDate").replace("2025-12-01", "2025-12-02")),
    ],
    [`${name}: another member`, code, changed(name, (text) => text.replace("{", '{"more":1,'))],
    [
      `${name}_signature: a bit`,
      code,
      changed(`${name}_signature`, (text) => `${text.slice(0, -1)}${text.endsWith("0") ? "1" : "0"}`),
    ],
    [`${name}_signature: zeros`, code, changed(`${name}_signature`, () => "00".repeat(64))],
    [`${name} signed by another key`, code, (forge) => signedBy(forge, name)],
  ];
});

function signedBy(forge: Forge, name: "tcb_info" | "qe_identity"): void {
  const other = new Forge();
  Object.assign(other, { documentSigner: "another" });
  const text = name === "tcb_info" ? "tcb_info_signature" : "qe_identity_signature";
  const signature = other.build().collateral[text] ?? "";
  forge.after = ({ collateral }) => void Object.assign(collateral, { [text]: signature });
}

export const COLLATERAL_ALTERATIONS: readonly Alteration[] = [
  ...envelope,
  ...chains,
  ...texts,
  [
    "the signatures are swapped",
    ["TCB_INFO_SIGNATURE", "QE_IDENTITY_SIGNATURE"],
    inCollateral((collateral: Texts) => {
      const { tcb_info_signature = "", qe_identity_signature = "" } = collateral;
      Object.assign(collateral, {
        tcb_info_signature: qe_identity_signature,
        qe_identity_signature: tcb_info_signature,
      });
    }),
  ],
  [
    "the documents are swapped",
    ["TCB_INFO_FORMAT", "QE_IDENTITY_FORMAT"],
    (forge) => {
      const { tcbInfo, qeIdentity } = forge.text;
      let info = "";
      forge.text.tcbInfo = (text) => {
        info = tcbInfo(text);
        return qeIdentity(JSON.stringify(forge.qeIdentity));
      };
      forge.text.qeIdentity = () => info;
    },
  ],
];
