/** Architectural bit positions used by paging. SDM volume 3A, sections 2.5 (CRs), 2.2.1 (EFER), 4.2-4.5 (entries), 4.7 (#PF). */

export const CR0_WP = 1 << 16;
export const CR0_PG = 1 << 31;

export const CR4_PSE = 1 << 4;
export const CR4_PAE = 1 << 5;
export const CR4_PGE = 1 << 7;
export const CR4_SMEP = 1 << 20;
export const CR4_SMAP = 1 << 21;

export const EFER_LMA = 1 << 10;
export const EFER_NXE = 1 << 11;

/** Bits of the low half of every paging-structure entry. */
export const PTE_P = 1 << 0;
export const PTE_RW = 1 << 1;
export const PTE_US = 1 << 2;
export const PTE_A = 1 << 5;
export const PTE_D = 1 << 6;
/** Page size; PAT in a 4 KiB leaf. */
export const PTE_PS = 1 << 7;
export const PTE_G = 1 << 8;
/** Execute-disable, in the high half of an 8-byte entry. */
export const PTE_HI_XD = 1 << 31;

export const PF_P = 1 << 0;
export const PF_W = 1 << 1;
export const PF_U = 1 << 2;
export const PF_RSVD = 1 << 3;
export const PF_I = 1 << 4;

/** Bytes in a page, and its logarithm. */
export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;
