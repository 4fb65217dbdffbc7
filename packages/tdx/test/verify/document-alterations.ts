import type { ReasonCode } from "../../src/verify/reasons.js";
import type { Alteration } from "./alteration.js";
import { type Forge, type Loose, level, svnLevel } from "./forge.js";

type Name = "tcbInfo" | "qeIdentity";
const FORMAT = { tcbInfo: "TCB_INFO_FORMAT", qeIdentity: "QE_IDENTITY_FORMAT" } as const;
const TIME = { tcbInfo: "TCB_INFO_TIME", qeIdentity: "QE_IDENTITY_TIME" } as const;
const BOTH = ["tcbInfo", "qeIdentity"] as const;

/** A change of a document, which is signed then. */
const document = (
  name: Name,
  what: string,
  codes: ReasonCode | readonly ReasonCode[],
  change: (document: Loose) => void,
): Alteration => [`${name}: ${what}`, codes, (forge) => change(forge[name])];

/** A change of its text, which is signed then. */
const text = (name: Name, what: string, codes: ReasonCode, change: (text: string) => string): Alteration => [
  `${name}: ${what}`,
  codes,
  (forge: Forge) => {
    forge.text[name] = change;
  },
];

/** A value of another kind for a member, by its path. */
const wrong = (name: Name, path: string, value: unknown): Alteration =>
  document(name, `${path} is ${JSON.stringify(value)?.slice(0, 40)}`, FORMAT[name], (root) => {
    const keys = path.split(".");
    const last = keys.pop() ?? "";
    keys.reduce((object, key) => object[key], root)[last] = value;
  });

const MEMBERS = {
  tcbInfo: [
    "id",
    "version",
    "issueDate",
    "nextUpdate",
    "fmspc",
    "pceId",
    "tcbType",
    "tcbEvaluationDataNumber",
    "tdxModule",
    "tcbLevels",
  ],
  qeIdentity: [
    "id",
    "version",
    "issueDate",
    "nextUpdate",
    "tcbEvaluationDataNumber",
    "miscselect",
    "miscselectMask",
    "attributes",
    "attributesMask",
    "mrsigner",
    "isvprodid",
    "tcbLevels",
  ],
} as const;

const format: readonly Alteration[] = [
  ...BOTH.flatMap((name) => [
    ...MEMBERS[name].map((member) =>
      document(name, `no ${member}`, FORMAT[name], (object) => {
        delete object[member];
      }),
    ),
    wrong(name, "issueDate", "2026-01-01T00:00:00.000Z"),
    wrong(name, "nextUpdate", "2026-02-30T00:00:00Z"),
    wrong(name, "nextUpdate", "2026-01-31T24:00:00Z"),
    wrong(name, "tcbLevels", []),
    wrong(name, "tcbLevels.0.tcbStatus", "Fine"),
    wrong(name, "tcbLevels.0.tcbDate", "yesterday"),
    wrong(name, "tcbLevels.0.advisoryIDs", [1]),
    wrong(name, "version", "3"),
    wrong(name, "version", 1),
    text(name, "a member twice", FORMAT[name], (json) => json.replace("{", '{"version":3,')),
    text(name, "a member of a level twice", FORMAT[name], (json) =>
      json.replace('"tcbStatus":"UpToDate"', '"tcbStatus":"Revoked","tcbStatus":"UpToDate"'),
    ),
    text(name, "a member twice, one escaped", FORMAT[name], (json) => json.replace("{", '{"\\u0069d":"X",')),
    text(name, "a comma too many", FORMAT[name], (json) => json.replace(/}$/, ",}")),
    text(name, "something behind it", FORMAT[name], (json) => `${json}x`),
    text(name, "a list", FORMAT[name], (json) => `[${json}]`),
    text(name, "empty", FORMAT[name], () => ""),
    text(name, "a number with a zero before it", FORMAT[name], (json) =>
      json.replace(/"tcbEvaluationDataNumber":(\d)/, '"tcbEvaluationDataNumber":0$1'),
    ),
  ]),
  wrong("tcbInfo", "id", "TDX2"),
  wrong("tcbInfo", "version", 2),
  wrong("tcbInfo", "tcbType", 1),
  wrong("tcbInfo", "fmspc", "51AD51AD00"),
  wrong("tcbInfo", "fmspc", "51AD51AD00GG"),
  wrong("tcbInfo", "pceId", "00000"),
  wrong("tcbInfo", "tcbEvaluationDataNumber", -1),
  wrong("tcbInfo", "tdxModule.mrsigner", "00"),
  wrong("tcbInfo", "tdxModule.attributes", "00"),
  wrong("tcbInfo", "tdxModuleIdentities.0.attributesMask", "FF"),
  wrong("tcbInfo", "tdxModuleIdentities.1.id", "tdx_03"),
  wrong("tcbInfo", "tdxModuleIdentities.1.tcbLevels", []),
  wrong("tcbInfo", "tdxModuleIdentities.1.tcbLevels", [svnLevel("SWHardeningNeeded", 1)]),
  wrong("tcbInfo", "tdxModuleIdentities.1.tcbLevels", [svnLevel("OutOfDate", 1), svnLevel("UpToDate", 4)]),
  wrong("tcbInfo", "tcbLevels.0.tcb.sgxtcbcomponents", []),
  wrong("tcbInfo", "tcbLevels.0.tcb.sgxtcbcomponents.15", undefined),
  wrong("tcbInfo", "tcbLevels.0.tcb.sgxtcbcomponents.3.svn", 256),
  wrong("tcbInfo", "tcbLevels.0.tcb.sgxtcbcomponents.3.svn", -1),
  wrong("tcbInfo", "tcbLevels.0.tcb.sgxtcbcomponents.3.svn", 0.5),
  wrong("tcbInfo", "tcbLevels.0.tcb.tdxtcbcomponents", undefined),
  wrong("tcbInfo", "tcbLevels.0.tcb.tdxtcbcomponents.2.svn", "6"),
  wrong("tcbInfo", "tcbLevels.0.tcb.pcesvn", 65_536),
  wrong("tcbInfo", "tcbLevels.1", level("Revoked", [1, 1, 1, 1], 1, [4, 0, 6])),
  wrong("qeIdentity", "id", "QVE"),
  wrong("qeIdentity", "mrsigner", "00"),
  wrong("qeIdentity", "isvprodid", 65_536),
  wrong("qeIdentity", "miscselect", 0),
  wrong("qeIdentity", "attributesMask", "FF"),
  wrong("qeIdentity", "tcbLevels", [svnLevel("SWHardeningNeeded", 1)]),
  wrong("qeIdentity", "tcbLevels", [svnLevel("Revoked", 0), svnLevel("UpToDate", 1)]),
  wrong("qeIdentity", "tcbLevels", [svnLevel("UpToDate", 1), svnLevel("Revoked", 1)]),
];

const dates: readonly Alteration[] = BOTH.flatMap((name) => [
  document(name, "from tomorrow on", TIME[name], (object) => {
    object.issueDate = "2026-01-15T00:00:01Z";
  }),
  document(name, "until yesterday", TIME[name], (object) => {
    object.nextUpdate = "2026-01-14T23:59:59Z";
  }),
]);

const identities: readonly Alteration[] = [
  document("tcbInfo", "another FMSPC", "TCB_INFO_MISMATCH", (info) => {
    info.fmspc = "51AD51AD0001";
  }),
  document("tcbInfo", "another PCEID", "TCB_INFO_MISMATCH", (info) => {
    info.pceId = "0100";
  }),
  document("tcbInfo", "for SGX", "TCB_INFO_MISMATCH", (info) => {
    info.id = "SGX";
  }),
  document("qeIdentity", "of SGX's quoting enclave", "QE_IDENTITY_MISMATCH", (identity) => {
    identity.id = "QE";
  }),
  document("qeIdentity", "another MRSIGNER", "QE_IDENTITY_MISMATCH", (identity) => {
    identity.mrsigner = "00".repeat(32);
  }),
  document("qeIdentity", "another ISVPRODID", "QE_IDENTITY_MISMATCH", (identity) => {
    identity.isvprodid = 1;
  }),
  document("qeIdentity", "another MISCSELECT", "QE_IDENTITY_MISMATCH", (identity) => {
    identity.miscselect = "01000000";
  }),
  document("qeIdentity", "MISCSELECT outside of its mask", "QE_IDENTITY_MISMATCH", (identity) => {
    Object.assign(identity, { miscselect: "01000000", miscselectMask: "00000000" });
  }),
  document("qeIdentity", "another ATTRIBUTES", "QE_IDENTITY_MISMATCH", (identity) => {
    identity.attributes = `01${identity.attributes.slice(2)}`;
  }),
  document("qeIdentity", "ATTRIBUTES outside of its mask", "QE_IDENTITY_MISMATCH", (identity) => {
    identity.attributes = `15${identity.attributes.slice(2)}`;
  }),
];

const statuses: readonly Alteration[] = [
  ...[
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "Revoked",
  ].map((status) =>
    document("tcbInfo", `the platform is ${status}`, "TCB_STATUS", (info) => {
      info.tcbLevels[0].tcbStatus = status;
    }),
  ),
  ...["OutOfDate", "Revoked"].map((status) =>
    document("tcbInfo", `the TDX module is ${status}`, "TCB_STATUS", (info) => {
      info.tdxModuleIdentities[1].tcbLevels[0].tcbStatus = status;
    }),
  ),
  ...["ConfigurationNeeded", "OutOfDate", "OutOfDateConfigurationNeeded", "Revoked"].map((status) =>
    document("qeIdentity", `the quoting enclave is ${status}`, "TCB_STATUS", (identity) => {
      identity.tcbLevels[0].tcbStatus = status;
    }),
  ),
  document("tcbInfo", "a component that the platform does not reach", "TCB_STATUS", (info) => {
    info.tcbLevels[0].tcb.sgxtcbcomponents[3].svn = 2;
    info.tcbLevels[1].tcb.sgxtcbcomponents[2].svn = 2;
  }),
  document("tcbInfo", "microcode that the TD was not made with", "TCB_STATUS", (info) => {
    for (const one of info.tcbLevels.slice(0, 2)) one.tcb.tdxtcbcomponents[2].svn = 7;
  }),
  document("tcbInfo", "a PCESVN that the platform does not reach", "TCB_STATUS", (info) => {
    for (const one of info.tcbLevels.slice(0, 2)) one.tcb.pcesvn = 2;
  }),
  document("tcbInfo", "no level of the platform", "TCB_NOT_SUPPORTED", (info) => {
    info.tcbLevels = [level("UpToDate", [2], 0, [])];
  }),
  document("tcbInfo", "no level of the platform's last component", "TCB_NOT_SUPPORTED", (info) => {
    info.tcbLevels = [level("UpToDate", [...Array(15).fill(0), 2], 0, [])];
  }),
  document("tcbInfo", "no level of the TD's", "TCB_NOT_SUPPORTED", (info) => {
    info.tcbLevels = [level("UpToDate", [1], 0, [0, 0, 7])];
  }),
  document("tcbInfo", "no level of the TDX module", "TCB_NOT_SUPPORTED", (info) => {
    info.tdxModuleIdentities[1].tcbLevels = [svnLevel("UpToDate", 5)];
  }),
  document("qeIdentity", "no level of the quoting enclave", "TCB_NOT_SUPPORTED", (identity) => {
    identity.tcbLevels = [svnLevel("UpToDate", 2)];
  }),
];

export const DOCUMENT_ALTERATIONS: readonly Alteration[] = [...format, ...dates, ...identities, ...statuses];
