import { ByteWriter } from "./bytes.js";

/** Unwind tables (LSB Core, exception frames; DWARF 4, 6.4) for functions that push nothing: the return address is on top of the stack throughout. */

/** Code that an entry covers: offset in the image, and bytes. */
export interface CodeRange {
  readonly at: number;
  readonly size: number;
}

const PCREL_SDATA4 = 0x1b;
const UDATA4 = 0x03;
const DATAREL_SDATA4 = 0x3b;
const CIE_BYTES = 24;
const FDE_BYTES = 24;

/** Bytes of the tables for `count` functions. */
export const unwindSizes = (count: number): { readonly header: number; readonly frames: number } => ({
  header: 12 + 8 * count,
  frames: CIE_BYTES + FDE_BYTES * count + 4,
});

/** `.eh_frame` at `at`. */
export function unwindFrames(at: number, functions: readonly CodeRange[]): Uint8Array {
  const w = new ByteWriter();
  // Version 1, "zR": data of 1 byte, how addresses are encoded. Units of code 1, of data -8; the return address is column 16.
  w.u32(CIE_BYTES - 4, 0)
    .u8(1)
    .text("zR")
    .u8(1, 0x78, 16, 1, PCREL_SDATA4);
  // DW_CFA_def_cfa rsp, 8; DW_CFA_offset 16, 1; DW_CFA_nop.
  w.u8(0x0c, 7, 8, 0x90, 1, 0, 0);
  for (const { at: code, size } of functions) {
    const start = w.length;
    w.u32(FDE_BYTES - 4, start + 4);
    w.u32(code - (at + w.length), size).u8(0);
    w.align(8);
  }
  return w.u32(0).bytes();
}

/** `.eh_frame_hdr` at `at`, for frames at `frames`: a table to search, so functions must be in order. */
export function unwindHeader(at: number, frames: number, functions: readonly CodeRange[]): Uint8Array {
  const w = new ByteWriter().u8(1, PCREL_SDATA4, UDATA4, DATAREL_SDATA4);
  w.u32(frames - (at + 4), functions.length);
  functions.forEach(({ at: code }, k) => {
    w.u32(code - at, frames + CIE_BYTES + FDE_BYTES * k - at);
  });
  return w.bytes();
}
