/** What a frame is used for, as the PAMT has it. */
export enum PageType {
  /** Not assigned: the host's. */
  Nda = 0,
  /** In a reserved area of its TDMR. */
  Rsvd = 1,
  /** Memory of a TD. */
  Reg = 3,
  Tdr = 4,
  Tdcx = 5,
  Tdvpr = 6,
  /** A page of a secure EPT. */
  Ept = 8,
}

/** Sizes of pages as operands have them. */
export enum PageSize {
  Size4K = 0,
  Size2M = 1,
  Size1G = 2,
}

/** Bytes of a page of each {@link PageSize}. */
export const PAGE_BYTES = [4096, 0x20_0000, 0x4000_0000] as const;
