/** Where the loader is in guest-physical memory: the last pages below 4 GiB, which no memory map names, so that nothing overwrites a processor that waits there. */
export const LOADER_BASE = 0xffff_8000;
/** The end of the loader's memory. */
export const LOADER_END = 2 ** 32;
/** PML4, then a PDPT, then one page directory for each of the four GiB. */
export const LOADER_TABLES = LOADER_BASE;
/** What is to be accepted: pairs of u64, first byte and first byte behind; a pair of zeros ends it. */
export const LOADER_ACCEPT = 0xffff_e000;
/** Code; its last 16 bytes are where every vCPU of a TD starts. */
export const LOADER_CODE = 0xffff_f000;
/** Ranges that a page of pairs can hold. */
export const MAX_ACCEPT_RANGES = 4096 / 16 - 1;
