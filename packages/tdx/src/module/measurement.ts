/** The measurement of what a TD is built of, while it is built. Source: TDX module base architecture specification, "MRTD: Build-Time Measurement Register". */
export interface MrtdContext {
  /** A page was added at `gpa`; its content is not measured by that. */
  pageAdd(gpa: number): void;
  /** The 256 bytes at `gpa` are measured. */
  extend(gpa: number, bytes256: Uint8Array): void;
  /** SHA-384 over all that came until now, 48 bytes; does not end anything. */
  digest(): Uint8Array;
}
