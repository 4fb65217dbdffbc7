import type { SgxExtension } from "../pki/sgx-extension.js";
import type { SvnLevel, TcbInfo, TcbLevel, TdxModuleIdentity } from "./tcb-info.js";
import { converge, needsConfiguration, type TcbStatus } from "./tcb-status.js";

/** SVNs that a TD's quote says. */
export interface TeeTcb {
  /** TEE_TCB_SVN, 16 bytes: the TDX module's when the TD was made. */
  readonly svn: Uint8Array;
  /** TEE_TCB_SVN_2, 16 bytes: the TDX module's now. Only quotes with the body of TDX 1.5 have it. */
  readonly svn2: Uint8Array | undefined;
}

/** Which level counts for each part of what is trusted. */
export interface TcbMatch {
  readonly platform: SvnLevel<TcbStatus> | TcbLevel;
  /** The TDX module's; undefined if its major version is 0, and for SGX. */
  readonly module: SvnLevel<"UpToDate" | "OutOfDate" | "Revoked"> | undefined;
  readonly qe: SvnLevel<TcbStatus>;
  /** All of them together. */
  readonly status: TcbStatus;
  /** Without doubles, in the order of the parts. */
  readonly advisoryIds: readonly string[];
}

/** What has no level that is low enough. */
export type Unmatched = "SGX" | "TDX" | "TDX module" | "QE";

/** The level that counts for an SVN: the highest that it reaches. */
export function matchSvn<T extends SvnLevel<string>>(levels: readonly T[], svn: number): T | undefined {
  return levels.find(({ isvSvn }) => svn >= isvSvn);
}

/** Identity of a TDX module by its major version, TEE_TCB_SVN[1]. */
export function findModule(info: TcbInfo, version: number): TdxModuleIdentity | undefined {
  const id = `TDX_${version.toString(16).padStart(2, "0").toUpperCase()}`;
  return info.tdxModuleIdentities.find((identity) => identity.id === id);
}

const reaches = (svns: ArrayLike<number>, level: readonly number[], from = 0): boolean =>
  level.every((svn, i) => i < from || (svns[i] ?? 0) >= svn);

/**
 * Status of a platform and of what runs on it, as Intel's quote verification library converges it.
 *
 * @param tee undefined for SGX
 * @returns what has no level instead, if something has none
 */
export function matchTcb(
  info: TcbInfo,
  pck: SgxExtension,
  tee: TeeTcb | undefined,
  qe: SvnLevel<TcbStatus> | undefined,
): TcbMatch | Unmatched {
  const sgx = info.levels.filter((level) => reaches(pck.components, level.sgx) && pck.pceSvn >= level.pceSvn);
  const [highest] = sgx;
  if (highest === undefined) return "SGX";
  // With a major version, the first two SVNs are the module's own and count in its identity instead.
  const platform = tee ? sgx.find((level) => reaches(tee.svn, level.tdx, tee.svn[1] ? 2 : 0)) : highest;
  if (platform === undefined) return "TDX";
  const module = tee && matchModule(info, tee.svn);
  if (module === null) return "TDX module";
  if (qe === undefined) return "QE";
  const withModule = converge(platform.status, module?.status ?? "UpToDate");
  const current = qe.status === "UpToDate" ? relaunch(info, tee, highest, module, withModule) : withModule;
  if (current === undefined) return "TDX module";
  const parts = [platform, module, qe].flatMap((level) => level?.advisoryIds ?? []);
  return {
    platform,
    module,
    qe,
    status: converge(current, qe.status === "UpToDate" || qe.status === "Revoked" ? qe.status : "OutOfDate"),
    advisoryIds: [...new Set(parts)],
  };
}

/** @returns null if a module of that version has no level, undefined if it needs none */
function matchModule(info: TcbInfo, svn: Uint8Array) {
  const [minor = 0, major = 0] = svn;
  if (major === 0) return undefined;
  return matchSvn(findModule(info, major)?.levels ?? [], minor) ?? null;
}

/**
 * Whether it is enough to launch the TD again, because a module that is up to date has been loaded since it was.
 *
 * @returns the status that says so, or `status`; undefined if the module that is loaded now is not a known one
 */
function relaunch(
  info: TcbInfo,
  tee: TeeTcb | undefined,
  sgx: TcbLevel,
  module: TcbMatch["module"],
  status: TcbStatus,
): TcbStatus | undefined {
  const outdated = status === "OutOfDate" || status === "OutOfDateConfigurationNeeded";
  const platformFine = !sgx.status.startsWith("OutOfDate") && sgx.status !== "Revoked";
  const latest = info.levels[0];
  if (!tee?.svn2 || !latest || !outdated || !platformFine || module?.status !== "OutOfDate") return status;
  const [minor = 0, major = 0, microcode = 0] = tee.svn2;
  const latestMinor = major === 0 ? latest.tdx[0] : findModule(info, major)?.levels[0]?.isvSvn;
  if (latestMinor === undefined) return undefined;
  if (minor < latestMinor || microcode < (latest.tdx[2] ?? 0)) return status;
  const configure = needsConfiguration(sgx.status) || needsConfiguration(status);
  return configure ? "TDRelaunchAdvisedConfigurationNeeded" : "TDRelaunchAdvised";
}
