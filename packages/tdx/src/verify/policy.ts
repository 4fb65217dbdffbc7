import { ATTRIBUTE_SEPT_VE_DISABLE } from "../tables/attributes.js";
import { VerifyInputError } from "./errors.js";
import { ACCEPTABLE_STATUSES, type TcbStatus } from "./tcb-status.js";

/** Measurements that a policy may expect, by their names in a TD's report. */
export const EXPECTABLE = [
  "mrSeam",
  "mrTd",
  "mrConfigId",
  "mrOwner",
  "mrOwnerConfig",
  "rtMr0",
  "rtMr1",
  "rtMr2",
  "rtMr3",
  "reportData",
] as const;

/** What is accepted beyond signatures, dates and identities, which no policy can waive. */
export interface Policy {
  /** Statuses that are accepted; Revoked and NotSupported cannot be. Default: UpToDate only. */
  readonly acceptedStatuses?: readonly TcbStatus[];
  /** Whether a debugger may look into what the quote is about. Default: no. */
  readonly allowDebug?: boolean;
  /** Bits of ATTRIBUTES that a TD may have, besides those of its debugger. Default: {@link DEFAULT_ATTRIBUTES}. */
  readonly allowedAttributes?: bigint;
  /** Whether a TD without SEPT_VE_DISABLE is accepted. Default: no: its guest has to be safe from its host. */
  readonly allowSeptVe?: boolean;
  /** Hash over the service TDs that may look into the TD, 48 bytes. Default: there may be none. */
  readonly mrServiceTd?: Uint8Array;
  /** The lowest tcbEvaluationDataNumber of both collaterals. Default: 0. */
  readonly minimumTcbEvaluation?: number;
  /** Measurements that the TD has to have. Default: any. */
  readonly expected?: { readonly [K in (typeof EXPECTABLE)[number]]?: Uint8Array };
}

/** Bits 0 to 7 of ATTRIBUTES: any of them means that the TD is under debug. */
export const ATTRIBUTES_DEBUG = 0xffn;
/** SEPT_VE_DISABLE, PKS, KL and PERFMON. MIGRATABLE is not among them: who migrates the TD sees into it. */
export const DEFAULT_ATTRIBUTES = ATTRIBUTE_SEPT_VE_DISABLE | (1n << 30n) | (1n << 31n) | (1n << 63n);
/** Bits of XFAM that a TDX module demands and those that it accepts: FIXED1 and FIXED0 of Intel's modules. */
export const XFAM_FIXED1 = 0x3n;
export const XFAM_FIXED0 = 0x6dbe7n;

/** @throws {VerifyInputError} `policy` for statuses that cannot be accepted */
export function acceptedStatuses(policy: Policy): readonly TcbStatus[] {
  const accepted = policy.acceptedStatuses ?? ["UpToDate"];
  const possible: readonly string[] = ACCEPTABLE_STATUSES;
  const unknown = accepted.find((status) => !possible.includes(status));
  if (unknown !== undefined)
    throw new VerifyInputError("policy", `status ${unknown} cannot be accepted; these can: ${possible.join(", ")}`);
  return accepted;
}
