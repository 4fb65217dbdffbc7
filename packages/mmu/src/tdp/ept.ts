import type { Gfn } from "../units.js";

/**
 * Bits of an EPT entry, all in its low half. R, W and X are the bits of {@link Licence} too. SDM 3C 29.3.2, tables 29-1 to 29-7.
 */
export enum Ept {
  R = 1 << 0,
  W = 1 << 1,
  X = 1 << 2,
  Rwx = R | W | X,
  /** Memory type of a leaf: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB; the others are reserved. */
  MemoryType = 7 << 3,
  WriteBack = 6 << 3,
  IgnorePat = 1 << 6,
  /** The entry maps a page though its level is not the lowest. */
  Large = 1 << 7,
  A = 1 << 8,
  D = 1 << 9,
}

/** Exit qualification of an EPT violation. SDM 3C table 28-7. */
export enum Qualification {
  Read = 1 << 0,
  Write = 1 << 1,
  Fetch = 1 << 2,
  Readable = 1 << 3,
  Writable = 1 << 4,
  Executable = 1 << 5,
  LinearValid = 1 << 7,
  /** The access was to the translation of a linear address; clear: to a guest paging-structure entry on the way. */
  Final = 1 << 8,
}

/** By level from 1 on; a walk asks at every step, and a power is a call. */
const FRAMES = [Number.NaN, 1, 512, 512 ** 2, 512 ** 3, 512 ** 4, 512 ** 5] as const;

/** Guest frames that an entry of `level`, 1 to 6, covers: 1, 512, 512^2, ... */
export function framesAt(level: number): number {
  return FRAMES[level] as number;
}

/** Index in a table of `level` of the entry that covers `gfn`. */
export function indexAt(gfn: Gfn, level: number): number {
  return Math.floor(gfn / framesAt(level)) % 512;
}

/** What a processor offers in EPT. IA32_VMX_EPT_VPID_CAP, SDM 3D A.10. */
export interface EptFeatures {
  /** Bit 0: X without R. */
  readonly executeOnly: boolean;
  /** Bit 16: 2 MiB pages. */
  readonly pages2M: boolean;
  /** Bit 17: 1 GiB pages. */
  readonly pages1G: boolean;
  /** Bit 6 of the EPTP: accessed and dirty flags are on. */
  readonly accessedDirty: boolean;
  /** MAXPHYADDR, 32..52. */
  readonly maxPhyAddr: number;
}

/** Whether a present entry of `level` is a leaf. */
export function isLeaf(lo: number, level: number): boolean {
  return level === 1 || (level <= 3 && (lo & Ept.Large) !== 0);
}

/** Whether an entry is an EPT misconfiguration at `level`. SDM 3C 29.3.3.1. */
export function isMisconfigured(lo: number, hi: number, level: number, features: EptFeatures): boolean {
  const rwx = lo & Ept.Rwx;
  if (rwx === 0) return false;
  if ((rwx & (Ept.R | Ept.W)) === Ept.W) return true;
  if (rwx === Ept.X && !features.executeOnly) return true;
  if ((hi & 0xfffff) >= 2 ** (features.maxPhyAddr - 32)) return true;
  if (!isLeaf(lo, level)) return (lo & (level > 3 ? 0xf8 : 0x78)) !== 0;
  if (level === 3 && (!features.pages1G || (lo & 0x3ffff000) !== 0)) return true;
  if (level === 2 && (!features.pages2M || (lo & 0x001ff000) !== 0)) return true;
  const type = (lo & Ept.MemoryType) >>> 3;
  return type === 2 || type === 3 || type === 7;
}
