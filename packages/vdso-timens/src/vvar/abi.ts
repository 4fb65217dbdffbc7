/** Layouts of the pages that a vDSO reads. Code and pages are private to each other: both follow the same table. */

/** What a page below the image is for. */
export type VvarPage = "time" | "timens" | "pvclock" | "hvclock" | "rng" | "arch";

/** Offsets in one of the two clock structures, bytes. */
export interface ClockFields {
  readonly seq: number;
  readonly mode: number;
  readonly cycleLast: number;
  /** Largest distance from `cycleLast` whose product with `mult` fits in 64 bits; absent in the older structure. */
  readonly maxCycles: number | null;
  readonly mask: number;
  readonly mult: number;
  readonly shift: number;
  /** 16 bytes a clock: seconds, and nanoseconds shifted left by `shift` (of coarse clocks plain nanoseconds). In a namespace's page: its offset. */
  readonly bases: number;
}

export interface VvarAbi {
  readonly name: VvarAbiName;
  /** The pages below the image, from the lowest on: the image follows the last one at once. */
  readonly pages: readonly VvarPage[];
  /** How many of them make the mapping `[vvar]`; the others are `[vvar_vclock]`. */
  readonly vvarPages: number;
  /** Offset of the first clock structure in its page, and from it to the second (of `CLOCK_MONOTONIC_RAW`). */
  readonly clocks: number;
  readonly stride: number;
  readonly fields: ClockFields;
  /** Offset in the page of `tz_minuteswest`, which `tz_dsttime` follows. */
  readonly zone: number;
  /** Offset in the page of the resolution of high-resolution clocks, nanoseconds. */
  readonly resolution: number;
}

export type VvarAbiName = "linux-5.6" | "linux-6.18";

export const PAGE = 4096;

/** `clock_mode`: what the cycles of high-resolution clocks are read from. */
export enum ClockMode {
  /** Nothing that code without privileges can read: such clocks need a system call. */
  None = 0,
  Tsc = 1,
  /** The page of kvmclock. */
  Pvclock = 2,
  /** None of these: the page is a namespace's, and the real one is in the slot `timens`. */
  Timens = 0x7fffffff,
}

/**
 * By name. 5.6 to 6.1 and later: `include/vdso/datapage.h`, `arch/x86/entry/vdso/vdso-layout.lds.S`, `arch/x86/include/asm/vvar.h` of 6.1.
 * 6.18: read out of a running kernel.
 */
export const VVAR_ABIS: Readonly<Record<VvarAbiName, VvarAbi>> = {
  "linux-5.6": {
    name: "linux-5.6",
    pages: ["time", "pvclock", "hvclock", "timens"],
    vvarPages: 4,
    clocks: 0x80,
    stride: 0xf0,
    fields: { seq: 0, mode: 4, cycleLast: 8, maxCycles: null, mask: 0x10, mult: 0x18, shift: 0x1c, bases: 0x20 },
    zone: 0x80 + 0xe0,
    resolution: 0x80 + 0xe8,
  },
  "linux-6.18": {
    name: "linux-6.18",
    pages: ["time", "timens", "rng", "arch", "pvclock", "hvclock"],
    vvarPages: 4,
    clocks: 0,
    stride: 0xe8,
    fields: { seq: 0, mode: 4, cycleLast: 8, maxCycles: 0x10, mask: 0x18, mult: 0x20, shift: 0x24, bases: 0x28 },
    zone: 0x910,
    resolution: 0x918,
  },
};
