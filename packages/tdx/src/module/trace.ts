import type { Gprs } from "./gpr.js";

/** A call of the host or of a guest, after it ended. */
export interface CallRecord {
  readonly kind: "seamcall" | "tdcall";
  /** Number of the leaf, without the version; of whatever RAX had. */
  readonly leaf: number;
  readonly version: number;
  /** Intel's name, undefined for a number that no leaf has. */
  readonly name: string | undefined;
  /** Registers before. */
  readonly input: Gprs;
  readonly status: bigint;
  readonly lp: number;
  /** Physical address of the TDVPR: of a TDCALL. */
  readonly tdvpr?: number;
}
