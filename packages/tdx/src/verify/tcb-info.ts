import { Document } from "./document.js";
import { JsonError } from "./json.js";
import { MODULE_STATUSES, PLATFORM_STATUSES } from "./tcb-status.js";

/** Status of an enclave or a module from an SVN on. */
export interface SvnLevel<Status extends string> {
  readonly isvSvn: number;
  readonly status: Status;
  readonly advisoryIds: readonly string[];
}

/** Who has to have signed a TDX module, and with which attributes. */
export interface TdxModule {
  /** 48 bytes. */
  readonly mrSigner: Uint8Array;
  /** 8 bytes each. */
  readonly attributes: Uint8Array;
  readonly attributesMask: Uint8Array;
}

/** A major version of the TDX module, with the status of its minor ones: descending. */
export interface TdxModuleIdentity extends TdxModule {
  /** TDX_ and the version in two upper-case hexadecimal digits. */
  readonly id: string;
  readonly levels: readonly SvnLevel<(typeof MODULE_STATUSES)[number]>[];
}

/** Status of platforms from these SVNs on. */
export interface TcbLevel {
  /** 16 SVNs, 0 to 255 each. */
  readonly sgx: readonly number[];
  readonly pceSvn: number;
  /** 16 SVNs for TDX, none for SGX. */
  readonly tdx: readonly number[];
  readonly status: (typeof PLATFORM_STATUSES)[number];
  readonly advisoryIds: readonly string[];
}

/** Intel's TCB info, version 3: status of all platforms of a family (FMSPC). Source: Intel PCS API, version 4. */
export interface TcbInfo {
  readonly id: "TDX" | "SGX";
  /** Both inclusive, in ms since 1970. */
  readonly issueDate: number;
  readonly nextUpdate: number;
  readonly fmspc: Uint8Array;
  readonly pceId: Uint8Array;
  readonly tcbEvaluationDataNumber: number;
  /** Of TDX only. */
  readonly tdxModule: TdxModule | undefined;
  readonly tdxModuleIdentities: readonly TdxModuleIdentity[];
  /** From the highest to the lowest. */
  readonly levels: readonly TcbLevel[];
}

/** Reads the text of a TCB info. @throws {JsonError} that says what is wrong; nothing else */
export function parseTcbInfo(text: string): TcbInfo {
  const info = Document.parse(text, "tcbInfo");
  const id = info.word("id", ["TDX", "SGX"]);
  if (info.uint("version", 2 ** 31) !== 3) throw new JsonError("tcbInfo.version is not 3");
  if (info.uint("tcbType", 2 ** 31) !== 0) throw new JsonError("tcbInfo.tcbType is not 0");
  const tdx = id === "TDX";
  return {
    id,
    issueDate: info.date("issueDate"),
    nextUpdate: info.date("nextUpdate"),
    fmspc: info.hex("fmspc", 6),
    pceId: info.hex("pceId", 2),
    tcbEvaluationDataNumber: info.uint("tcbEvaluationDataNumber", 2 ** 31),
    tdxModule: tdx ? readModule(info.object("tdxModule")) : undefined,
    tdxModuleIdentities: tdx && info.has("tdxModuleIdentities") ? readIdentities(info) : [],
    levels: readLevels(info, tdx),
  };
}

function readModule(module: Document): TdxModule {
  return {
    mrSigner: module.hex("mrsigner", 48),
    attributes: module.hex("attributes", 8),
    attributesMask: module.hex("attributesMask", 8),
  };
}

function readIdentities(info: Document): TdxModuleIdentity[] {
  const identities = info.list("tdxModuleIdentities").map((module) => {
    const id = module.text("id").toUpperCase();
    return { ...readModule(module), id, levels: readSvnLevels(module, MODULE_STATUSES) };
  });
  const ids = new Set(identities.map(({ id }) => id));
  if (ids.size < identities.length) throw new JsonError("tcbInfo.tdxModuleIdentities has an id twice");
  return identities;
}

/** Reads tcbLevels by isvsvn. They have to be there and to descend: the first that an SVN reaches is the one that counts. */
export function readSvnLevels<T extends string>(from: Document, statuses: readonly T[]): SvnLevel<T>[] {
  const levels = from.list("tcbLevels").map((level) => {
    level.date("tcbDate");
    return {
      isvSvn: level.object("tcb").uint("isvsvn", 65_535),
      status: level.word("tcbStatus", statuses),
      advisoryIds: level.texts("advisoryIDs"),
    };
  });
  if (levels.length === 0) throw new JsonError("tcbLevels is empty");
  if (levels.some(({ isvSvn }, i) => i > 0 && isvSvn >= (levels[i - 1]?.isvSvn ?? 0)))
    throw new JsonError("tcbLevels by isvsvn do not descend");
  return levels;
}

function readLevels(info: Document, tdx: boolean): TcbLevel[] {
  const levels = info.list("tcbLevels").map((level) => {
    const tcb = level.object("tcb");
    level.date("tcbDate");
    return {
      sgx: readComponents(tcb, "sgxtcbcomponents"),
      pceSvn: tcb.uint("pcesvn", 65_535),
      tdx: tdx ? readComponents(tcb, "tdxtcbcomponents") : [],
      status: level.word("tcbStatus", PLATFORM_STATUSES),
      advisoryIds: level.texts("advisoryIDs"),
    };
  });
  if (levels.length === 0) throw new JsonError("tcbInfo.tcbLevels is empty");
  // As Intel's library sorts them, whatever their order in the document.
  levels.sort((a, b) => compare(order(b), order(a)));
  if (levels.some((level, i) => i > 0 && compare(order(level), order(levels[i - 1] ?? level)) === 0))
    throw new JsonError("tcbInfo.tcbLevels has the same SVNs twice");
  return levels;
}

const order = (level: TcbLevel): readonly number[] => [...level.sgx, level.pceSvn, ...level.tdx];

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [i, value] of a.entries()) if (value !== b[i]) return value - (b[i] ?? 0);
  return 0;
}

function readComponents(tcb: Document, name: string): number[] {
  const components = tcb.list(name).map((component) => component.uint("svn", 255));
  if (components.length !== 16) throw new JsonError(`${name} has ${components.length} SVNs; it has to have 16`);
  return components;
}
