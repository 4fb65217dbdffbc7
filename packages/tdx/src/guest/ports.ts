/** How one of the host's pages is mapped for a TD: its bytes, or why not. */
export type SharedPage =
  /** The 4096 bytes, a live view. */
  | { readonly bytes: Uint8Array }
  /** Nothing there: `suppressVe` is bit 63 of the EPT entry. */
  | { readonly suppressVe: boolean };

/** Makes and checks TDREPORTs. */
export interface ReportPort {
  /**
   * The 1024 bytes of a TDREPORT.
   * @param tdInfo 512 bytes
   * @param reportData 64 bytes
   */
  create(tdInfo: Uint8Array, reportData: Uint8Array): Uint8Array;
  /** Checks a REPORTMACSTRUCT of 256 bytes: made on this platform, with this security version, or not. */
  verify(reportMacStruct: Uint8Array): "valid" | "invalid-cpusvn" | "invalid-reportmacstruct";
}

/** What the guest side of the module needs from outside. */
export interface GuestPorts {
  /** The shared page at a guest-physical address, which is 4096-aligned and without the shared bit. */
  sharedPage(gpa: number, isWrite: boolean): SharedPage;
  readonly reports: ReportPort;
}
