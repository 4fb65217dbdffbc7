/** How up to date what is trusted of a platform is: Intel's words. */
export type TcbStatus =
  | "UpToDate"
  | "SWHardeningNeeded"
  | "ConfigurationNeeded"
  | "ConfigurationAndSWHardeningNeeded"
  | "OutOfDate"
  | "OutOfDateConfigurationNeeded"
  | "TDRelaunchAdvised"
  | "TDRelaunchAdvisedConfigurationNeeded"
  | "Revoked"
  /** Its SVNs are below all levels. */
  | "NotSupported";

/** Words that a level of the TCB info may have. */
export const PLATFORM_STATUSES = [
  "UpToDate",
  "SWHardeningNeeded",
  "ConfigurationNeeded",
  "ConfigurationAndSWHardeningNeeded",
  "OutOfDate",
  "OutOfDateConfigurationNeeded",
  "Revoked",
] as const satisfies readonly TcbStatus[];

/** Words that a level of a TDX module's identity may have. */
export const MODULE_STATUSES = ["UpToDate", "OutOfDate", "Revoked"] as const satisfies readonly TcbStatus[];

/** Words that a level of the quoting enclave's identity may have. What is neither UpToDate nor Revoked counts as OutOfDate. */
export const QE_STATUSES = [
  "UpToDate",
  "ConfigurationNeeded",
  "OutOfDate",
  "OutOfDateConfigurationNeeded",
  "Revoked",
] as const satisfies readonly TcbStatus[];

/** Statuses that a policy may accept: all but Revoked and NotSupported. */
export const ACCEPTABLE_STATUSES = [
  "UpToDate",
  "SWHardeningNeeded",
  "ConfigurationNeeded",
  "ConfigurationAndSWHardeningNeeded",
  "OutOfDate",
  "OutOfDateConfigurationNeeded",
  "TDRelaunchAdvised",
  "TDRelaunchAdvisedConfigurationNeeded",
] as const satisfies readonly TcbStatus[];

/** Status of the platform, made worse by that of a part of it: the TDX module or the quoting enclave. */
export function converge(platform: TcbStatus, part: "UpToDate" | "OutOfDate" | "Revoked"): TcbStatus {
  if (part === "Revoked") return "Revoked";
  if (part === "UpToDate") return platform;
  switch (platform) {
    case "UpToDate":
    case "SWHardeningNeeded":
      return "OutOfDate";
    case "ConfigurationNeeded":
    case "ConfigurationAndSWHardeningNeeded":
      return "OutOfDateConfigurationNeeded";
    default:
      return platform;
  }
}

/** Whether a status says that a configuration is needed. */
export function needsConfiguration(status: TcbStatus): boolean {
  return status.includes("Configuration");
}
