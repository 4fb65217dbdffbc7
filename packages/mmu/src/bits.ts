/**
 * Architectural bit positions used by paging: SDM 3A 2.5 (control registers), 2.2.1 (EFER), 4.2-4.5 (entries), 4.7 (#PF).
 * Enums because the bundler replaces their members by literals, which it does not for constants of another module.
 */

export enum Page {
  /** Bytes. */
  Size = 4096,
}

export enum Cr0 {
  Wp = 1 << 16,
  Pg = 1 << 31,
}

export enum Cr4 {
  Pse = 1 << 4,
  Pae = 1 << 5,
  Pge = 1 << 7,
  La57 = 1 << 12,
  Smep = 1 << 20,
  Smap = 1 << 21,
  Pke = 1 << 22,
}

export enum Efer {
  Lma = 1 << 10,
  Nxe = 1 << 11,
}

/** Bits of a paging-structure entry; all in its low half but Xd. */
export enum Pte {
  P = 1 << 0,
  Rw = 1 << 1,
  Us = 1 << 2,
  A = 1 << 5,
  D = 1 << 6,
  /** Page size; PAT in a 4 KiB leaf. */
  Ps = 1 << 7,
  G = 1 << 8,
  /** Execute-disable, in the high half of an 8-byte entry. */
  XdHi = 1 << 31,
}

/** Page-fault error code. */
export enum Pf {
  P = 1 << 0,
  W = 1 << 1,
  U = 1 << 2,
  Rsvd = 1 << 3,
  I = 1 << 4,
  Pk = 1 << 5,
}
